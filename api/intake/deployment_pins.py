"""Pins jobs to a deployment as it is when they are accepted."""

from collections.abc import Mapping
from typing import Any

from api.intake.orders import Acceptance
from shared import column_names, database, errors, fingerprints
from shared.prediction import graphs, snapshots

_ROLE = "prediction"
_SHOWN = 10


class NoSuchDeploymentError(errors.InvalidRequestError):
    """The deployment that a job is to predict with doesn't exist."""


def no_such_deployment(acceptance: Acceptance, name: str) -> NoSuchDeploymentError:
    """Make the error of a command whose `deployment` names none."""
    problem = errors.Problem(
        f"{name!r} doesn't exist; GET /v1/deployments lists the deployments.", f"{acceptance.pointer}/deployment"
    )
    return NoSuchDeploymentError(f"There is no deployment {name!r} here.", problems=[problem])


def pin(acceptance: Acceptance) -> dict[str, Any]:
    """Pin the deployment that a command names, if it names one; raises NoSuchDeploymentError, UnavailableError."""
    name = acceptance.command.deployment
    if name is None:
        return {}
    needs = _take(acceptance, name)
    if needs.graph is not None:
        return _pin_graph(acceptance, name, needs)
    columns = _list_columns(acceptance, needs)
    if needs.lookup is not None:
        _require_whole_rows(acceptance, columns, lookup=needs.lookup)
    return {
        "deployment": f"{name}@{needs.revision}",
        "snapshot": needs.mark,
        "models": needs.models,
        "columns": columns,
    }


def _take(acceptance: Acceptance, name: str) -> snapshots.Needs:
    """Take a snapshot of a deployment; raises NoSuchDeploymentError, UnavailableError."""
    with database.available(_ROLE):
        needs = snapshots.take(acceptance.databases[_ROLE], tenant_id=acceptance.tenant_id, name=name)
    if needs is None:
        raise no_such_deployment(acceptance, name)
    return needs


def _list_columns(acceptance: Acceptance, needs: snapshots.Needs) -> list[str]:
    """List the columns that the rows of a job have to have."""
    if needs.sticky_key is None or getattr(acceptance.command, "unit", None) is not None:
        return needs.columns
    return list(dict.fromkeys([*needs.columns, needs.sticky_key]))


def _pin_graph(acceptance: Acceptance, name: str, needs: snapshots.Needs) -> dict[str, Any]:
    """Pin a graph and each deployment that it names as it is now; InvalidRequestError for a dataset's rows."""
    graph = graphs.read_state({"graph": needs.graph})
    if graph is None or "dataset" in acceptance.pinned:
        problem = errors.Problem(
            f"{name!r} answers by other deployments ({', '.join(graph.names[:_SHOWN]) if graph else ''}); predict a "
            "dataset by one of these, or send its rows to the inference server",
            f"{acceptance.pointer}/deployment",
        )
        raise errors.InvalidRequestError(f"The deployment {name!r} can't predict a dataset.", problems=[problem])
    members = {member: _take(acceptance, member) for member in graph.names}
    columns = _list_graph_columns(acceptance, graph, members)
    lookup = next((member.lookup for member in members.values() if member.lookup is not None), None)
    if lookup is not None:
        _require_whole_rows(acceptance, columns, lookup=lookup)
    marks = {member: each.mark for member, each in members.items()}
    return {
        "deployment": f"{name}@{needs.revision}",
        "snapshot": fingerprints.compute({"graph": needs.mark, "members": marks})[: snapshots.MARK_CHARACTERS],
        "models": {label: place for each in members.values() for label, place in each.models.items()},
        "columns": columns,
        "graph": needs.mark,
        "members": {
            member: {"deployment": f"{member}@{each.revision}", "snapshot": each.mark}
            for member, each in members.items()
        },
    }


def _list_graph_columns(
    acceptance: Acceptance, graph: graphs.Graph, members: Mapping[str, snapshots.Needs]
) -> list[str]:
    """List the columns that rows have to have whatever they hold: those of a switch's cases depend on its column."""
    if isinstance(graph, graphs.Switch):
        return [graph.column]
    columns: list[str] = []
    earlier: tuple[str, ...] = ()
    for name in graph.names:
        columns += [column for column in _list_columns(acceptance, members[name]) if not column.startswith(earlier)]
        # Which columns a step predicts is known only once its model is loaded.
        earlier += (graphs.name_column(name, ""),) if isinstance(graph, graphs.Sequence) else ()
    return list(dict.fromkeys(columns))


def _require_whole_rows(acceptance: Acceptance, columns: list[str], *, lookup: str) -> None:
    """Refuse rows that lack columns, where a client may expect them to be looked up."""
    dataset = acceptance.pinned.get("dataset")
    if dataset is None:
        present = sorted({name for instance in acceptance.command.instances for name in instance})
    else:
        present = [column["name"] for column in dataset["columns"]]
    field = "instances" if dataset is None else "dataset"
    try:
        column_names.require(columns, present=present)
    except errors.BadDataError as error:
        detail = f"{error.message}; only the inference server looks {lookup} up by a key, a job's rows need all columns"
        problem = errors.Problem(detail, f"{acceptance.pointer}/{field}")
        raise errors.InvalidRequestError(f"The rows lack columns: {detail}.", problems=[problem]) from error


def pin_with_rows(acceptance: Acceptance) -> dict[str, Any]:
    """Pin the deployment, and how many rows come with the job, by which a worker decides what it does together."""
    return {**pin(acceptance), "rows": len(acceptance.command.instances)}
