"""How much storage a tenant uses, by role and type of resource."""

from typing import Any

import sqlalchemy as sa

from api.reads import kept
from shared import database, errors, roles
from shared.objects import store

_LIVE_FIELDS = ("objects", "bytes")
_DELETED_FIELDS = ("deleted_objects", "deleted_bytes")


def measure(databases: database.Databases, objects: store.Store, tenant_id: str) -> dict[str, Any]:
    """Sum up the sizes of a tenant's objects, as their rows have them, and of its uploads."""
    uses, unavailable = [], []
    for role in roles.ROLES:
        try:
            with databases[role].statements.connect() as connection:
                uses += _sum_uses(connection, role, tenant_id=tenant_id)
        except database.FAULTS:
            unavailable.append(role)
    if len(unavailable) == len(roles.ROLES):
        raise errors.UnavailableError("No role's database can be reached.", retry_after_seconds=5)
    uploads = [upload.bytes for upload in objects.list(f"{tenant_id}/uploads") if not upload.is_foreign]
    return {
        "tenant": tenant_id,
        "objects": sum(use["objects"] for use in uses),
        "bytes": sum(use["bytes"] for use in uses),
        "uses": [use for use in uses if use["objects"] or use["deleted_objects"]],
        "uploads": len(uploads),
        "upload_bytes": sum(uploads),
        "unavailable": unavailable,
    }


def _sum_uses(connection: sa.Connection, role: str, *, tenant_id: str) -> list[dict[str, Any]]:
    """Sum up a role's objects by table, each object once: an export may be the model's own object.

    In the query `place` is a table's position in `tables`.
    """
    # Tables of versions come first, so an object that rows of several tables point at counts with the version.
    tables = sorted(kept.pointing_tables(role), key=lambda table: not table.name.endswith("_versions"))
    if not tables:
        return []
    rows = sa.union_all(
        *(_select_objects(table, place, tenant_id=tenant_id) for place, table in enumerate(tables))
    ).subquery()
    objects = (
        sa.select(
            sa.func.min(rows.c.place).label("place"),
            sa.func.min(rows.c.is_deleted).label("is_deleted"),
            sa.func.max(rows.c.bytes).label("bytes"),
        )
        .group_by(rows.c.key)
        .subquery()
    )
    sums = sa.select(objects.c.place, objects.c.is_deleted, sa.func.count(), sa.func.sum(objects.c.bytes)).group_by(
        objects.c.place, objects.c.is_deleted
    )
    uses = [
        {"role": role, "kind": kept.type_of(table), **dict.fromkeys((*_LIVE_FIELDS, *_DELETED_FIELDS), 0)}
        for table in tables
    ]
    for place, is_deleted, count, size in connection.execute(sums):
        fields = _DELETED_FIELDS if is_deleted else _LIVE_FIELDS
        uses[place] |= zip(fields, (count, int(size)), strict=True)
    return uses


def _select_objects(table: sa.Table, place: int, *, tenant_id: str) -> sa.Select[Any]:
    is_deleted = (
        sa.case((table.c.deleted_at.isnot(None), 1), else_=0) if "deleted_at" in table.c else sa.literal_column("0")
    )
    return sa.select(
        table.c.key, table.c.bytes, is_deleted.label("is_deleted"), sa.literal_column(str(place)).label("place")
    ).where(
        table.c.tenant_id == tenant_id,
    )
