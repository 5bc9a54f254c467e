"""Changes deployments that are graphs, and keeps their members there and fitting.

A graph's change locks its members, as theirs lock themselves, so that no member goes or becomes another thing while a
graph begins to name it. docs/decisions/serving.md, "A graph names deployments, and asks them as a client would".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from api.intake.orders import Client
from shared import contract, database, errors
from shared.prediction import changes, graphs
from shared.prediction.deployments import Deployment, describe_answers
from shared.prediction.tables import deployment_versions, deployments

_ROLE = "prediction"
_LIMITS = ("max_concurrency", "max_waiting", "timeout_seconds")
_UNCOMBINED = {
    "clustering": "the numbers of clusters mean something else in each model",
    "multilabel": "sets of labels have no order by which to decide",
}
_NUMBERS = frozenset({"regression", "quantile"})
_PREDICTED: Mapping[str, contract.ColumnType] = {
    "regression": "number",
    "quantile": "number",
    "multilabel": "string",
    "clustering": "integer",
    "anomaly": "boolean",
}
"""The types of predictions, where they don't depend on the labels."""
_OF_LABELS: Mapping[type, contract.ColumnType] = {bool: "boolean", int: "integer"}

Pins = Mapping[str, Sequence[Mapping[str, Any]]]
"""The pins of the versions that each deployment needs."""


def put(
    databases: database.Databases,
    name: str,
    deployment: Deployment,
    *,
    client: Client,
    reason: str | None,
    expected_revision: int | None,
) -> None:
    """Create or change a graph; raises InvalidRequestError, ConflictError, PreconditionFailedError, UnavailableError.

    What is the same already is no change, and is not appended.
    """
    if deployment.graph is None:
        raise ValueError("the deployment is no graph")
    kind, graph = deployment.graph
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        _lock_members(connection, name, graph, tenant_id=client.tenant_id, kind=kind)
        head = changes.lock(connection, tenant_id=client.tenant_id, name=name)
        changes.require_revision(head, expected_revision)
        require_unnamed(connection, head, but="and graphs don't name one another")
        limits = deployment.model_dump(mode="json", include=set(_LIMITS))
        state = {"routes": [], "fallback": None, "sticky_key": None, **limits, "graph": graphs.to_state(kind, graph)}
        if state == head.state:
            return
        author = changes.Author(action="put", changed_by=client.key_id, reason=reason)
        changes.append(connection, head, state, pins={}, author=author)


def roll_back(
    databases: database.Databases,
    name: str,
    state: changes.State,
    *,
    client: Client,
    reason: str | None,
    expected_revision: int,
) -> None:
    """Make a deployment the graph that it was; raises ConflictError when its members are not what it needs any more."""
    graph = graphs.read_state(state)
    if graph is None:
        raise ValueError("the deployment was no graph")
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        try:
            _lock_members(connection, name, graph, tenant_id=client.tenant_id, kind=state["graph"]["kind"])
        except errors.InvalidRequestError as error:
            raise errors.ConflictError(f"{name!r} can't be again what it was: {error.message}") from error
        head = changes.lock(connection, tenant_id=client.tenant_id, name=name)
        changes.require_revision(head, expected_revision)
        require_unnamed(connection, head, but="and graphs don't name one another")
        author = changes.Author(action="rollback", changed_by=client.key_id, reason=reason)
        changes.append(connection, head, state, pins={}, author=author)


def require_unnamed(connection: sa.Connection, head: sa.Row[Any], *, but: str) -> None:
    """Raise ConflictError when a graph names a locked deployment; `but` says why that is in the way."""
    naming = [name for name, _ in _list_naming(connection, head)]
    if naming:
        raise errors.ConflictError(
            f"The deployment {head.name!r} is named by {', '.join(map(repr, naming))}, {but}; change "
            f"/v1/deployments/{naming[0]} first."
        )


def require_fitting(connection: sa.Connection, head: sa.Row[Any], pins: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ConflictError when a locked deployment would answer otherwise than others that a graph names beside it."""
    own = {describe_answers(pin) for pin in pins.values()}
    for name, graph in _list_naming(connection, head):
        others = [other for other in graph.names if other != head.name]
        if isinstance(graph, graphs.Sequence) or not others:
            continue
        found = _read_pins(connection, others, tenant_id=head.tenant_id)
        for other in others:
            answers = {describe_answers(pin) for pin in found.get(other, ())}
            if answers and answers != own:
                raise errors.ConflictError(
                    f"{name!r} names {head.name!r} beside {other!r}, which answers {_join(answers)}; "
                    f"{head.name!r} would answer {_join(own)}. Change /v1/deployments/{name} first."
                )


def _lock_members(
    connection: sa.Connection, name: str, graph: graphs.Graph, *, tenant_id: str, kind: graphs.Kind
) -> None:
    """Lock the deployments that a graph names; InvalidRequestError where one is missing, or they can't be its members.

    The graph itself is locked with them, where it is there: who locks several rows has to do so in one order.
    """
    query = sa.select(deployments).where(
        deployments.c.tenant_id == tenant_id, deployments.c.name.in_([*graph.names, name])
    )
    rows = connection.execute(query.order_by(deployments.c.name).with_for_update()).all()
    states = {row.name: row.state for row in rows if row.state is not None}
    for pointer, member in _list_places(graph, kind):
        if member == name:
            raise _refuse(f"{name!r} can't name itself", pointer)
        if member not in states:
            raise _refuse(f"there is no deployment {member!r}; GET /v1/deployments lists them", pointer)
        if states[member].get("graph"):
            raise _refuse(f"{member!r} has no `routes` of its own; name the deployments that it names", pointer)
    pins = _read_pins(connection, graph.names, tenant_id=tenant_id)
    if isinstance(graph, graphs.Sequence):
        _require_order(graph, pins)
        return
    _require_alike(pins, kind)
    if isinstance(graph, graphs.Ensemble):
        _require_combinable(graph, pins)


def _list_places(graph: graphs.Graph, kind: graphs.Kind) -> list[tuple[str, str]]:
    """List where a graph's document names which deployment."""
    match graph:
        case graphs.Sequence():
            return [(f"#/{kind}/steps/{index}", name) for index, name in enumerate(graph.steps)]
        case graphs.Ensemble():
            return [(f"#/{kind}/members/{index}", name) for index, name in enumerate(graph.members)]
        case graphs.Switch():
            cases = [(f"#/{kind}/cases/{_escape(value)}", name) for value, name in graph.cases.items()]
            return [*cases, *([] if graph.default is None else [(f"#/{kind}/default", graph.default)])]


def _require_order(graph: graphs.Sequence, pins: Pins) -> None:
    """Raise InvalidRequestError for a step that needs what only later steps predict, or that predict another type."""
    for index, step in enumerate(graph.steps):
        for column in (column for pin in pins[step] for column in pin["signature"]["columns"]):
            for place, other in enumerate(graph.steps):
                if column["name"] != graphs.name_column(other, "prediction"):
                    continue
                pointer, needs = f"#/sequence/steps/{index}", f"{step!r} needs {column['name']!r}"
                if place >= index:
                    raise _refuse(f"{needs}, which {other!r} predicts only after it; change the order", pointer)
                types = {_predict_type(pin) for pin in pins[other]}
                wrong = sorted(kind for kind in types if not _may_be(kind, column["type"]))
                if wrong:
                    raise _refuse(f"{needs} of type {column['type']}, and {other!r} predicts {wrong[0]}", pointer)


def _require_alike(pins: Pins, kind: graphs.Kind) -> None:
    answers = {name: {describe_answers(pin) for pin in of_one} for name, of_one in pins.items()}
    if len(set().union(*answers.values())) > 1:
        described = ", ".join(f"{name!r} {_join(each)}" for name, each in sorted(answers.items()))
        raise _refuse(f"deployments of one {kind} answer alike, and these don't: {described}", f"#/{kind}")


def _require_combinable(graph: graphs.Ensemble, pins: Pins) -> None:
    problem = next(pin["problem"] for of_one in pins.values() for pin in of_one)
    if problem in _UNCOMBINED:
        raise _refuse(f"answers of {problem} can't be combined: {_UNCOMBINED[problem]}", "#/ensemble/members")
    if graph.combine == "vote" and problem in _NUMBERS:
        raise _refuse(
            f"members vote for labels, and these predict numbers ({problem}); take mean", "#/ensemble/combine"
        )


def _predict_type(pin: Mapping[str, Any]) -> contract.ColumnType:
    classes = pin["signature"].get("classes") or []
    return _PREDICTED.get(pin["problem"]) or _OF_LABELS.get(type(classes[0]) if classes else str, "string")


def _may_be(predicted: contract.ColumnType, needed: str) -> bool:
    """Return whether a value of a predicted type can be one of a needed type; whole numbers may be codes."""
    if needed in contract.NUMERIC:
        return predicted in contract.NUMERIC
    return needed not in contract.TEMPORAL and predicted in ("string", "integer")


def _list_naming(connection: sa.Connection, head: sa.Row[Any]) -> list[tuple[str, graphs.Graph]]:
    """List the graphs that name a deployment."""
    query = sa.select(deployments.c.name, deployments.c.state).where(
        deployments.c.tenant_id == head.tenant_id,
        deployments.c.state.isnot(None),
        deployments.c.state["graph"]["kind"].as_string().isnot(None),
    )
    read = [(row.name, graphs.read_state(row.state)) for row in connection.execute(query.order_by(deployments.c.name))]
    return [(name, graph) for name, graph in read if graph is not None and head.name in graph.names]


def _read_pins(
    connection: sa.Connection, names: Sequence[str], *, tenant_id: str
) -> dict[str, list[Mapping[str, Any]]]:
    table = deployment_versions
    query = sa.select(table.c.deployment, table.c.pin).where(
        table.c.tenant_id == tenant_id, table.c.deployment.in_(names)
    )
    pins: dict[str, list[Mapping[str, Any]]] = {}
    for row in connection.execute(query):
        pins.setdefault(row.deployment, []).append(row.pin)
    return pins


def _refuse(why: str, pointer: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(f"{why[0].upper()}{why[1:]}.", problems=[errors.Problem(why, pointer)])


def _escape(member: str) -> str:
    """Write a member's name as a JSON pointer has it (RFC 6901)."""
    return member.replace("~", "~0").replace("/", "~1")


def _join(answers: set[str]) -> str:
    return " or ".join(sorted(answers))
