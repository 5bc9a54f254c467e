"""Keeps schedules, and deletes them."""

from api.intake.orders import Client
from shared import database, errors
from shared.orchestration import beginning
from shared.orchestration.contract import RunPipeline
from shared.orchestration.schedules import kept
from shared.orchestration.schedules.document import Schedule

ROLE = "orchestration"


def put(
    databases: database.Databases, name: str, schedule: Schedule, *, client: Client, expected_revision: int | None
) -> int:
    """Keep a schedule, whose runs act with the client's rights, and return its revision.

    Raises NotFoundError and InvalidRequestError where its runs could not begin now, and PreconditionFailedError.
    """
    command = RunPipeline(pipeline=schedule.pipeline, version=schedule.version, params=schedule.params)
    with database.available(ROLE), databases[ROLE].transactions.begin() as connection:
        beginning.make(connection, command, tenant_id=client.tenant_id, version=None, pointer="#/params")
        return kept.put(
            connection,
            name,
            schedule,
            tenant_id=client.tenant_id,
            created_by=client.key_id,
            expected_revision=expected_revision,
        )


def delete(databases: database.Databases, name: str, *, client: Client) -> None:
    """Delete a schedule; its runs go on. Raises NotFoundError."""
    with database.available(ROLE), databases[ROLE].transactions.begin() as connection:
        if not kept.delete(connection, name, tenant_id=client.tenant_id):
            raise errors.NotFoundError(f"There is no schedule {name!r} here.")
