"""How much a tenant keeps, by role and kind of thing."""

from typing import Any

import sqlalchemy as sa

from api.reads import kept
from shared import database, errors, roles
from shared.objects import store

_DELETED = ("deleted_objects", "deleted_bytes")


def measure(databases: database.Databases, objects: store.Store, tenant_id: str) -> dict[str, Any]:
    """Add up what a tenant's rows say of their objects."""
    uses, unavailable = [], []
    for role in roles.ROLES:
        try:
            with databases[role].statements.connect() as connection:
                uses += _uses(connection, role, tenant_id=tenant_id)
        except database.FAULTS:
            unavailable.append(role)
    if len(unavailable) == len(roles.ROLES):
        raise errors.UnavailableError("No role's database can be reached.", retry_after_seconds=5)
    uploads = [found.bytes for found in objects.list(f"{tenant_id}/uploads") if not found.is_foreign]
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
    naming = sorted(kept.pointing_tables(role), key=lambda table: not table.name.endswith("_versions"))
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
        {"role": role, "kind": kept.type_of(table), **dict.fromkeys(("objects", "bytes", *_DELETED), 0)}
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
