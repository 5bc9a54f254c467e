"""How much a tenant keeps, by role and kind of thing."""

from typing import Any

import pydantic
import sqlalchemy as sa

from api import documents, door
from shared import database, errors, holdings, roles

_DELETED = ("deleted_objects", "deleted_bytes")


class Use(documents.Document):
    """What one kind of thing takes."""

    role: str = pydantic.Field(description="The role that keeps it.")
    kind: str = pydantic.Field(description="What it is: `dataset`, `features`, `model`, `archive`, …")
    objects: int = pydantic.Field(description="How many objects; one that several things share counts once.")
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
                uses += _uses(connection, role, tenant_id=tenant_id)
        except database.FAULTS:
            unavailable.append(role)
    if len(unavailable) == len(roles.ROLES):
        raise errors.UnavailableError("No role's database can be reached.", retry_after_seconds=5)
    uploads = [found.bytes for found in door.current().store.list(f"{tenant_id}/uploads") if not found.is_foreign]
    return {
        "tenant": tenant_id,
        "objects": sum(use["objects"] for use in uses),
        "bytes": sum(use["bytes"] for use in uses),
        "uses": [use for use in uses if use["objects"] or use["deleted_objects"]],
        "uploads": len(uploads),
        "upload_bytes": sum(uploads),
        "unavailable": unavailable,
    }


def _uses(connection: sa.Connection, role: str, *, tenant_id: str) -> list[dict[str, Any]]:
    """Add up a role's objects, each once: an export may be the model's own object."""
    # What has versions comes first, and with it counts what several rows point at.
    naming = sorted(holdings.naming(role), key=lambda table: not table.name.endswith("_versions"))
    if not naming:
        return []
    rows = sa.union_all(*(_rows(table, place, tenant_id=tenant_id) for place, table in enumerate(naming))).subquery()
    found = (
        sa.select(
            sa.func.min(rows.c.place).label("place"),
            sa.func.min(rows.c.is_deleted).label("is_deleted"),
            sa.func.max(rows.c.bytes).label("bytes"),
        )
        .group_by(rows.c.key)
        .subquery()
    )
    sums = sa.select(found.c.place, found.c.is_deleted, sa.func.count(), sa.func.sum(found.c.bytes)).group_by(
        found.c.place, found.c.is_deleted
    )
    uses = [
        {"role": role, "kind": holdings.thing(table), **dict.fromkeys(("objects", "bytes", *_DELETED), 0)}
        for table in naming
    ]
    for place, is_deleted, count, size in connection.execute(sums):
        names = _DELETED if is_deleted else ("objects", "bytes")
        uses[place] |= zip(names, (count, int(size)), strict=True)
    return uses


def _rows(table: sa.Table, place: int, *, tenant_id: str) -> sa.Select[Any]:
    is_deleted = (
        sa.case((table.c.deleted_at.isnot(None), 1), else_=0) if "deleted_at" in table.c else sa.literal_column("0")
    )
    return sa.select(
        table.c.key, table.c.bytes, is_deleted.label("is_deleted"), sa.literal_column(str(place)).label("place")
    ).where(
        table.c.tenant_id == tenant_id,
    )
