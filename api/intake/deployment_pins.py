"""Pins jobs to a deployment as it is when they are accepted."""

from typing import Any

from api.intake.orders import Acceptance
from shared import column_names, database, errors
from shared.prediction import snapshots

_ROLE = "prediction"


class NoSuchDeploymentError(errors.InvalidRequestError):
    """The deployment that a job is to predict with doesn't exist."""


def pin(acceptance: Acceptance) -> dict[str, Any]:
    """Pin the deployment that a command names, if it names one; raises NoSuchDeploymentError, UnavailableError."""
    command = acceptance.command
    name = command.deployment
    if name is None:
        return {}
    with database.available(_ROLE):
        needs = snapshots.take(acceptance.databases[_ROLE], tenant_id=acceptance.tenant_id, name=name)
    if needs is None:
        problem = errors.Problem(
            f"{name!r} doesn't exist; GET /v1/deployments lists the deployments.", f"{acceptance.pointer}/deployment"
        )
        raise NoSuchDeploymentError(f"There is no deployment {name!r} here.", problems=[problem])
    if needs.members:
        problem = errors.Problem(
            f"{name!r} answers by other deployments; name one of those", f"{acceptance.pointer}/deployment"
        )
        raise errors.InvalidRequestError(
            f"The deployment {name!r} is a graph, which jobs don't predict by.", problems=[problem]
        )
    columns = needs.columns
    if needs.sticky_key is not None and getattr(command, "unit", None) is None:
        columns = list(dict.fromkeys([*columns, needs.sticky_key]))
    if needs.lookup is not None:
        _require_whole_rows(acceptance, columns, lookup=needs.lookup)
    return {
        "deployment": f"{name}@{needs.revision}",
        "snapshot": needs.mark,
        "models": needs.models,
        "columns": columns,
    }


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
