"""Changes deployments: each change pins the versions that it needs, and is appended to the ledger."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from api.intake.orders import Client
from api.intake.pins import Pinner
from api.intake.serving import canaries, graphs, logs, lookups, naming, shadows
from shared import clock, database, errors
from shared.prediction import changes, shares
from shared.prediction.deployments import Deployment, describe_answers
from shared.prediction.experiments import lifecycle
from shared.prediction.experiments.document import OF_LABELS, OF_NUMBERS

_ROLE = "prediction"
_NUMERIC = frozenset({"regression", "quantile"})
_LIMITS = ("sticky_key", "max_concurrency", "max_waiting", "timeout_seconds")


def put(
    databases: database.Databases,
    pinner: Pinner,
    name: str,
    deployment: Deployment,
    *,
    client: Client,
    reason: str | None,
    expected_revision: int | None,
) -> None:
    """Create or change a deployment; raises InvalidRequestError, PreconditionFailedError, UnavailableError.

    ConflictError when a graph names it that it wouldn't fit. What is the same already is no change, and is not
    appended.
    """
    if deployment.graph is not None:
        graphs.put(databases, name, deployment, client=client, reason=reason, expected_revision=expected_revision)
        return
    named = {f"#/routes/{index}/model": route.model for index, route in enumerate(deployment.routes)}
    if deployment.fallback is not None:
        named["#/fallback"] = deployment.fallback
    pins = _pin(pinner, named, tenant_id=client.tenant_id)
    references = {text: naming.name_followed(text, pins[text]) for text in pins}
    weights = {references[route.model]: route.weight for route in deployment.routes}
    if len(weights) < len(deployment.routes):
        raise errors.InvalidRequestError("Two routes name the same version; name each version once.")
    pins_by_reference = {references[text]: pin for text, pin in pins.items()}
    canary = _pin_canary(pinner, deployment, tenant_id=client.tenant_id)
    shadowing = shadows.pin(pinner, deployment, tenant_id=client.tenant_id)
    _require_alike(pins_by_reference | canary | shadowing)
    shadows.require_useful(deployment, shadowing, routes=pins_by_reference, canary=canary)
    _require_measurable(deployment, pins_by_reference)
    place = next((naming.describe(reference, pin) for reference, pin in canary.items()), None)
    lookup = lookups.pin(
        databases,
        pinner,
        deployment.lookup,
        models=(pins_by_reference | canary | shadowing).values(),
        tenant_id=client.tenant_id,
    )
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        head = changes.lock(connection, tenant_id=client.tenant_id, name=name)
        changes.require_revision(head, expected_revision)
        graphs.require_fitting(connection, head, pins_by_reference)
        state = {
            "routes": _make_routes(weights, pins_by_reference, previous=head.state),
            "fallback": _describe_fallback(deployment, references, pins_by_reference),
            **deployment.model_dump(mode="json", include=set(_LIMITS)),
            **_follow_experiment(connection, head, deployment, references),
            **shadows.describe(deployment, shadowing, head=head),
            **lookup,
            **logs.describe(deployment, pins_by_reference | canary),
            **({"errors": deployment.errors} if deployment.errors != "detailed" else {}),
        }
        state = canaries.start(connection, head, state, canary=deployment.canary, place=place, client=client)
        if state == head.state:
            return
        author = changes.Author(action="put", changed_by=client.key_id, reason=reason)
        needed = changes.keep_needed(pins_by_reference | canary | shadowing, state)
        changes.append(connection, head, state, pins=needed, author=author)


def roll_back(
    databases: database.Databases,
    pinner: Pinner,
    name: str,
    *,
    client: Client,
    revision: int | None,
    reason: str | None,
    expected_revision: int | None,
) -> None:
    """Make a deployment what it was at a revision, by default before its last change.

    Its routes then name versions by number, also where they followed an alias: the alias may stand for the very version
    that is to be left.
    """
    state, head_revision = _read_earlier(databases, name, client=client, revision=revision)
    expected_revision = head_revision if expected_revision is None else expected_revision
    if state.get("graph") is not None:
        graphs.roll_back(databases, name, state, client=client, reason=reason, expected_revision=expected_revision)
        return
    named = {f"#/routes/{index}": naming.name_number(route) for index, route in enumerate(state["routes"])}
    if state["fallback"] is not None:
        named["#/fallback"] = naming.name_number(state["fallback"])
    pins = _pin(pinner, named, tenant_id=client.tenant_id)
    shadowing = shadows.pin_again(pinner, state.get("shadow", []), tenant_id=client.tenant_id)
    routes = [{**route, "model": naming.name_number(route)} for route in state["routes"]]
    fallback = state["fallback"] and {**state["fallback"], "model": naming.name_number(state["fallback"])}
    lookup = lookups.pin_again(databases, pinner, state.get("lookup"), models=pins.values(), tenant_id=client.tenant_id)
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        head = changes.lock(connection, tenant_id=client.tenant_id, name=name)
        changes.require_revision(head, expected_revision)
        graphs.require_fitting(connection, head, pins)
        author = changes.Author(action="rollback", changed_by=client.key_id, reason=reason)
        # A canary that was under way then is over.
        returned = {name: value for name, value in state.items() if name != "canary"}
        returned |= {"routes": routes, "fallback": fallback, **lookup}
        kept = shadows.keep_on_return(returned.pop("shadow", []), pins=shadowing)
        returned |= {"shadow": kept} if kept else {}
        experiment = lifecycle.keep_on_return(
            returned.pop("experiment", None),
            now=head.state.get("experiment"),
            arms=[route["model"] for route in routes],
        )
        if experiment is not None:
            returned["experiment"] = experiment
        changes.append(connection, head, returned, pins=pins | shadowing, author=author)


def delete(
    databases: database.Databases, name: str, *, client: Client, reason: str | None, expected_revision: int | None
) -> None:
    """Delete a deployment; its history stays, and the next one of this name goes on from it."""
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        head = changes.lock_existing(
            connection, tenant_id=client.tenant_id, name=name, expected_revision=expected_revision
        )
        graphs.require_unnamed(connection, head, but="which needs it")
        author = changes.Author(action="delete", changed_by=client.key_id, reason=reason)
        changes.append(connection, head, None, pins={}, author=author)


def _pin(pinner: Pinner, named: Mapping[str, str], *, tenant_id: str) -> dict[str, dict[str, Any]]:
    """Make the pin of each reference; `named` has them by the pointer to where they are in the body."""
    pins: dict[str, dict[str, Any]] = {}
    for pointer, reference in named.items():
        if reference not in pins:
            pins[reference] = pinner.pin_one("model", reference, tenant_id=tenant_id, pointer=pointer)
    return pins


def _pin_canary(pinner: Pinner, deployment: Deployment, *, tenant_id: str) -> dict[str, dict[str, Any]]:
    """Make the pin of a canary's version by its number, which is what it keeps; none where there is no canary."""
    if deployment.canary is None:
        return {}
    pin = pinner.pin_one("model", deployment.canary.model, tenant_id=tenant_id, pointer="#/canary/model")
    return {f"{pin['name']}@{pin['version']}": pin}


def _require_alike(pins: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise InvalidRequestError for versions whose answers can't stand for one another."""
    answers = {reference: describe_answers(pin) for reference, pin in pins.items()}
    if len(set(answers.values())) > 1:
        described = ", ".join(f"{reference} {answer}" for reference, answer in sorted(answers.items()))
        raise errors.InvalidRequestError(f"These versions answer differently: {described}; deploy them apart.")


def _require_measurable(deployment: Deployment, pins: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise InvalidRequestError for a metric that predictions of these versions don't have."""
    problem = next(iter(pins.values()))["problem"]
    impossible = OF_LABELS if problem in _NUMERIC else OF_NUMBERS
    for metric in deployment.experiment.metrics if deployment.experiment else ():
        if metric.name in impossible:
            others = ", ".join(sorted((OF_NUMBERS | OF_LABELS) - impossible))
            raise errors.InvalidRequestError(
                f"The experiment's metric is {metric.name}, which there is not of {problem}; take {others} or value."
            )


def _follow_experiment(
    connection: sa.Connection, head: sa.Row[Any], deployment: Deployment, references: Mapping[str, str]
) -> dict[str, Any]:
    """Build the part of a state that says which experiment runs; it is empty where none does."""
    experiment = lifecycle.follow(
        deployment.experiment,
        before=(head.state or {}).get("experiment"),
        unit=deployment.sticky_key,
        arms=[references[route.model] for route in deployment.routes],
        references=references,
        revision=head.revision + 1,
        at_ms=clock.read(connection) if deployment.experiment else 0,
    )
    return {} if experiment is None else {"experiment": experiment}


def _make_routes(
    weights: Mapping[str, float], pins: Mapping[str, Mapping[str, Any]], *, previous: changes.State | None
) -> list[dict[str, Any]]:
    before = {route["model"]: route["ranges"] for route in previous["routes"]} if previous else {}
    ranges = shares.allocate(weights, previous=before)
    return [
        {**naming.describe(reference, pins[reference]), "weight": weight, "ranges": ranges[reference]}
        for reference, weight in weights.items()
    ]


def _describe_fallback(
    deployment: Deployment, references: Mapping[str, str], pins: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    if deployment.fallback is None:
        return None
    reference = references[deployment.fallback]
    return naming.describe(reference, pins[reference])


def _read_earlier(
    databases: database.Databases, name: str, *, client: Client, revision: int | None
) -> tuple[changes.State, int]:
    """Read what a deployment was at a revision, and at which revision it is now."""
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        head = changes.find(connection, tenant_id=client.tenant_id, name=name)
        if head is None:
            raise errors.NotFoundError(f"There is no deployment {name!r} here.")
        wanted = head.revision - 1 if revision is None else revision
        if not 1 <= wanted < head.revision:
            raise errors.ConflictError(
                f"The deployment {name!r} is at the revision {head.revision}; there is no earlier one to return to."
                if head.revision <= 1
                else f"The deployment {name!r} is at the revision {head.revision}; name one from 1 to "
                f"{head.revision - 1}."
            )
        row = changes.read(connection, tenant_id=client.tenant_id, name=name, revision=wanted)
    if row is None or row.state is None:
        raise errors.ConflictError(
            f"At the revision {wanted} there was no deployment {name!r}; name another `revision` to return to."
        )
    return dict(row.state), head.revision


def require_not_deployed(databases: database.Databases, row: sa.Row[Any]) -> None:
    """Raise ConflictError when a deployment needs a version of a model, given its row."""
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        names = changes.list_users(connection, tenant_id=row.tenant_id, model=row.name, version=row.version)
    if names:
        raise errors.ConflictError(
            f"Deployments need {row.name}@{row.version}: {', '.join(map(repr, names))}; send their traffic elsewhere "
            f"first, at /v1/deployments/{names[0]}."
        )


def parse_revision(etag: str | None) -> int | None:
    """Read the revision of an `If-Match` header; None when there is none, or it is `*`."""
    if etag is None or etag.strip() == "*":
        return None
    text = etag.strip().removeprefix("W/").strip('"')
    if not text.isdecimal() or len(text) > 9:
        raise errors.MalformedRequestError(
            f'If-Match is {etag[:80]!r}; send the `ETag` of what is to be changed, such as "3".'
        )
    return int(text)
