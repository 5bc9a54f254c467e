"""How much storage a tenant uses, by role and type of resource.

The sizes are those of rows. Rows stay when their resource is deleted, also after the store was pruned; so those of
deleted resources count only while the store lists their object.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from api.reads import kept
from shared import database, errors, roles
from shared.objects import store

_LIVE_FIELDS = ("objects", "bytes")
_DELETED_FIELDS = ("deleted_objects", "deleted_bytes")


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a tenant uses."""

    document: dict[str, Any]
    """The response's document."""
    row_bytes: Mapping[str, int]
    """What `shared.catalog.stored_bytes.add_up` adds up, by role."""


@dataclasses.dataclass(frozen=True)
class _Deleted:
    """An object of deleted resources, which may be in the store still."""

    use: dict[str, Any]
    bytes: int


def measure(databases: database.Databases, objects: store.Store, tenant_id: str) -> Measured:
    """Sum up the sizes of a tenant's objects, as their rows have them, and of its uploads.

    Lists the tenant's objects in the store once; only its uploads, when it has never deleted anything.
    """
    uses: list[dict[str, Any]] = []
    deleted: dict[str, _Deleted] = {}
    unavailable = []
    for role in roles.ROLES:
        try:
            with databases[role].statements.connect() as connection:
                uses += _sum_uses(connection, role, tenant_id=tenant_id, deleted=deleted)
        except database.FAULTS:
            unavailable.append(role)
    if len(unavailable) == len(roles.ROLES):
        raise errors.UnavailableError("No role's database can be reached.", retry_after_seconds=5)
    row_bytes = dict.fromkeys(roles.ROLES, 0)
    for use in uses:
        row_bytes[use["role"]] += use["bytes"]
    for one in deleted.values():
        row_bytes[one.use["role"]] += one.bytes
    uploads = _count_listed(objects, deleted, tenant_id=tenant_id)
    document = {
        "tenant": tenant_id,
        "objects": sum(use["objects"] for use in uses),
        "bytes": sum(use["bytes"] for use in uses),
        "uses": [use for use in uses if use["objects"] or use["deleted_objects"]],
        "uploads": len(uploads),
        "upload_bytes": sum(uploads),
        "stored_bytes": sum(use["bytes"] + use["deleted_bytes"] for use in uses) + sum(uploads),
        "unavailable": unavailable,
    }
    return Measured(document, row_bytes)


def _count_listed(objects: store.Store, deleted: dict[str, _Deleted], *, tenant_id: str) -> list[int]:
    """Add deleted objects that the store lists to their uses; returns the sizes of the uploads that it lists."""
    folder = f"{tenant_id}/uploads"
    uploads = []
    for item in objects.list(tenant_id if deleted else folder):
        if item.key.startswith(f"{folder}/") and not item.is_foreign:
            uploads.append(item.bytes)
        elif item.key in deleted:
            found = deleted[item.key]
            found.use["deleted_objects"] += 1
            found.use["deleted_bytes"] += found.bytes
    return uploads


def _sum_uses(
    connection: sa.Connection, role: str, *, tenant_id: str, deleted: dict[str, _Deleted]
) -> list[dict[str, Any]]:
    """Sum up a role's objects by table, each object once: an export may be the model's own object.

    Objects that only rows of deleted resources point at are added to `deleted`, by key. In the queries `place` is a
    table's position in `tables`.
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
            rows.c.key,
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
    has_deleted = False
    for place, is_deleted, count, size in connection.execute(sums):
        if is_deleted:
            has_deleted = True
        else:
            uses[place] |= zip(_LIVE_FIELDS, (count, int(size)), strict=True)
    if has_deleted:
        one_by_one = sa.select(objects.c.place, objects.c.key, objects.c.bytes).where(objects.c.is_deleted == 1)
        for place, key, size in connection.execute(one_by_one):
            deleted[key] = _Deleted(uses[place], size)
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
