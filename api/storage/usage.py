"""How much a tenant keeps, by role and kind of thing."""

from typing import Any

import pydantic
import sqlalchemy as sa

from api import documents, door
from shared import database, errors, holdings, roles


class Use(documents.Document):
    """What one kind of thing takes."""

    role: str = pydantic.Field(description="The role that keeps it.")
    kind: str = pydantic.Field(description="What it is: `dataset`, `features`, `model`, `archive`, …")
    objects: int = pydantic.Field(description="How many objects.")
    bytes: int = pydantic.Field(description="Their bytes.")
    deleted_objects: int = pydantic.Field(description="How many more wait, deleted, for the store to be pruned.")
    deleted_bytes: int = pydantic.Field(description="Their bytes, while they wait.")


class Usage(documents.Document):
    """What a tenant's things take in the object store."""

    tenant: str
    objects: int = pydantic.Field(description="Objects that rows point at.")
    bytes: int = pydantic.Field(description="Their bytes.")
    uses: list[Use] = pydantic.Field(description="The same by role and kind.")
    uploads: int = pydantic.Field(description="Uploads that wait for their job, or for the store to be pruned.")
    upload_bytes: int = pydantic.Field(description="Their bytes.")
    unavailable: list[str] = pydantic.Field(description="Roles whose database can't be reached, and so are left out.")


def measure(tenant_id: str) -> dict[str, Any]:
    """Add up what a tenant's rows say of their objects."""
    uses, unavailable = [], []
    for role in roles.ROLES:
        try:
            with door.current().databases[role].statements.connect() as connection:
                uses += [_use(connection, role, table, tenant_id=tenant_id) for table in holdings.naming(role)]
        except database.FAULTS:
            unavailable.append(role)
    if len(unavailable) == len(roles.ROLES):
        raise errors.UnavailableError("No role's database can be reached.", retry_after_seconds=5)
    uploads = [found.bytes for found in door.current().store.list(f"{tenant_id}/uploads")]
    return {
        "tenant": tenant_id,
        "objects": sum(use["objects"] for use in uses),
        "bytes": sum(use["bytes"] for use in uses),
        "uses": [use for use in uses if use["objects"] or use["deleted_objects"]],
        "uploads": len(uploads),
        "upload_bytes": sum(uploads),
        "unavailable": unavailable,
    }


def _use(connection: sa.Connection, role: str, table: sa.Table, *, tenant_id: str) -> dict[str, Any]:
    is_deleted = table.c.deleted_at.isnot(None) if "deleted_at" in table.c else sa.false()
    held, let_go = sa.case((is_deleted, 0), else_=1), sa.case((is_deleted, 1), else_=0)
    row = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(held), 0),
            sa.func.coalesce(sa.func.sum(held * table.c.bytes), 0),
            sa.func.coalesce(sa.func.sum(let_go), 0),
            sa.func.coalesce(sa.func.sum(let_go * table.c.bytes), 0),
        ).where(
            table.c.tenant_id == tenant_id,
        )
    ).one()
    names = ("objects", "bytes", "deleted_objects", "deleted_bytes")
    return {"role": role, "kind": holdings.thing(table), **dict(zip(names, map(int, row), strict=True))}
