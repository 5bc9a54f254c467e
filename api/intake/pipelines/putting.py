"""Keeps pipelines, and retires them."""

from api.intake.orders import Client
from shared import database, errors
from shared.orchestration import versions
from shared.orchestration.language.document import Pipeline

ROLE = "orchestration"


def put(
    databases: database.Databases, name: str, pipeline: Pipeline, *, client: Client, expected_version: int | None
) -> bool:
    """Keep a pipeline as the next version of its name; returns whether it is one, or the latest is the same."""
    with database.available(ROLE), databases[ROLE].transactions.begin() as connection:
        _, is_new = versions.put(
            connection,
            name,
            pipeline,
            tenant_id=client.tenant_id,
            created_by=client.key_id,
            expected_version=expected_version,
        )
    return is_new


def retire(databases: database.Databases, name: str, *, client: Client) -> None:
    """Let no further run of a pipeline begin until it is put again; raises NotFoundError."""
    with database.available(ROLE), databases[ROLE].transactions.begin() as connection:
        if not versions.retire(connection, name, tenant_id=client.tenant_id):
            raise errors.NotFoundError(f"There is no pipeline {name!r} here.")
