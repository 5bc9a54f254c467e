"""How many bytes of a tenant a role's rows point at, and the quota for them that a job has pinned.

docs/decisions/accepting.md, "A quota of stored bytes is checked at the door and before a job publishes"
"""

import importlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from shared import errors

PIN = "quota"
"""The key of what a job pins of its tenant's quota."""
_POINTING_COLUMNS = {"tenant_id", "key", "sha256", "bytes"}
"""A table with these columns has rows that point at objects. A list of such tables could miss a new one."""


def list_tables(role: str) -> list[sa.Table]:
    """List a role's tables whose rows point at objects: those of versions, and others such as archives."""
    metadata: sa.MetaData = importlib.import_module(f"shared.{role}.tables").metadata
    return [table for table in metadata.sorted_tables if set(table.columns.keys()) >= _POINTING_COLUMNS]


def add_up(connection: sa.Connection, role: str, *, tenant_id: str) -> int:
    """Add up the sizes of a tenant's objects in a role, each object once.

    Objects that are deleted or pruned count for ever: it grows by what a job stores and by nothing else, and only how
    much it has grown is compared.
    """
    tables = list_tables(role)
    if not tables:
        return 0
    rows = sa.union_all(
        *(sa.select(table.c.key, table.c.bytes).where(table.c.tenant_id == tenant_id) for table in tables)
    ).subquery()
    objects = sa.select(sa.func.max(rows.c.bytes).label("bytes")).group_by(rows.c.key).subquery()
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(objects.c.bytes), 0))).scalar_one())


def make_pin(*, quota_bytes: int, used_bytes: int, role_bytes: int) -> dict[str, Any]:
    """Make what a job pins: the quota, and how many bytes its role may have if other roles store nothing meanwhile.

    `used_bytes` is what the tenant has in the store, `role_bytes` what `add_up` added up at that time.
    """
    return {PIN: {"quota_bytes": quota_bytes, "role_bytes": quota_bytes - used_bytes + role_bytes}}


def check(connection: sa.Connection, pinned: Mapping[str, Any], *, role: str, tenant_id: str, new_bytes: int) -> None:
    """Raise LimitExceededError when a job's new objects don't fit into what it has pinned of the quota."""
    pin = pinned.get(PIN)
    if pin is None or not new_bytes:
        return
    left = pin["role_bytes"] - add_up(connection, role, tenant_id=tenant_id)
    if new_bytes > left:
        raise errors.LimitExceededError(
            f"The job would store {new_bytes:,} bytes, but its tenant has {max(0, left):,} left of its quota of "
            f"{pin['quota_bytes']:,} bytes. Delete versions that nobody needs, then prune (POST /v1/storage/prune)."
        )
