"""What the guards of versions are for."""

import functools
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from shared.catalog import datasets
from shared.jobs import tables
from tests.unit.rig import TENANT, Rig, new_version
from tests.unit.shared.jobs.guard_table import Check, Checks

OTHER = "other"


def add_versions(rig: Rig) -> None:
    """Make two versions of `telco`, one of `zoo`, and another tenant's `telco` and `theirs`."""
    for changes in ({}, {}, {"name": "zoo"}, {"tenant_id": OTHER}, {"tenant_id": OTHER, "name": "theirs"}):
        rig.run(datasets.add, new_version("ingestion_1", **changes))


def finds(rig: Rig, *, version: int | None = None, name: str = "telco", found: int | None) -> None:
    """See which version of a name is found, of those that were not deleted."""
    add_versions(rig)
    rig.run(datasets.add, new_version("ingestion_2", name="odd"))
    rig.run(datasets.add, new_version("ingestion_2", name="odd"))
    gone = sa.update(datasets.VERSIONS).values(deleted_at=1)
    rows = datasets.VERSIONS.c
    rig.run(lambda connection: connection.execute(gone.where(rows.name == "odd", rows.version == 2)))
    row = rig.run(rig.versions.find, datasets.VERSIONS, tenant_id=TENANT, name=name, version=version)
    assert (row and (row.tenant_id, row.name, row.version)) == (found and (TENANT, name, found))


def lists_names(rig: Rig, *, after: str | None, limit: int, names: list[str]) -> None:
    """See which names a page holds."""
    add_versions(rig)
    rig.run(datasets.add, new_version("ingestion_2", name="abc"))
    rows = rig.run(rig.versions.list_names, datasets.HEADS, tenant_id=TENANT, after=after, limit=limit)
    assert [row.name for row in rows] == names


def lists_names_in_order_by_any_plan(rig: Rig) -> None:
    """See that the order is asked for, and no gift of the index that PostgreSQL happens to read."""
    for name in ("zoo", "abc"):
        rig.run(datasets.add, new_version("ingestion_1", name=name))
    with rig.engines.transactions.begin() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = on")
        connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        rows = rig.versions.list_names(connection, datasets.HEADS, tenant_id=TENANT, after=None, limit=10)
    assert [row.name for row in rows] == ["abc", "zoo"]


def finds_by_bytes(rig: Rig, *, sha256: str, found: int) -> None:
    """See which of three versions, the first and the last of the same bytes, is found by its bytes."""
    for digest in ("a", "b", "a"):
        rig.run(datasets.add, new_version("ingestion_1", sha256=digest * 64))
    row = rig.run(rig.versions.find_by_sha256, datasets.VERSIONS, tenant_id=TENANT, name="telco", sha256=sha256)
    assert row.version == found


def pinned(rig: Rig, version: int = 1) -> Any:
    """Read a version as a job that has pinned it does."""
    return rig.run(rig.versions.read_pinned, datasets.VERSIONS, tenant_id=TENANT, name="telco", version=version)


def reads_what_was_pinned(rig: Rig) -> None:
    """See that the very version is read, deleted or not."""
    add_versions(rig)
    rig.run(lambda connection: connection.execute(sa.update(datasets.VERSIONS).values(deleted_at=1)))
    row = pinned(rig)
    assert (row.tenant_id, row.name, row.version) == (TENANT, "telco", 1)


def lock(rig: Rig, version: int) -> Callable[[sa.Connection], bool]:
    """Lock a version of `telco`."""
    return functools.partial(
        rig.versions.lock_version, versions=datasets.VERSIONS, tenant_id=TENANT, name="telco", version=version
    )


def delete(rig: Rig, row: Any) -> Callable[[sa.Connection], None]:
    """Delete a version."""
    return functools.partial(rig.versions.delete, versions=datasets.VERSIONS, row=row, type_="dataset")


def locks_only_existing_versions(rig: Rig) -> None:
    """See that an existing version is locked, and a missing one is not."""
    add_versions(rig)
    assert [rig.run(lock(rig, version)) for version in (1, 2, 5)] == [True, True, False]


def waits_for_a_deletion(rig: Rig) -> None:
    """See that a version which another transaction is deleting is not locked."""
    add_versions(rig)
    assert rig.overlap(delete(rig, pinned(rig)), lock(rig, 1)) == (None, False)


def deletes_one_version_once(rig: Rig) -> None:
    """See that a deletion marks one version, and that a second one tells nobody."""
    add_versions(rig)
    row = pinned(rig)
    for _ in range(2):
        rig.run(delete(rig, row))
    with rig.engines.statements.connect() as connection:
        gone = connection.execute(
            sa.select(datasets.VERSIONS.c.name, datasets.VERSIONS.c.version).where(
                datasets.VERSIONS.c.deleted_at.isnot(None)
            )
        ).all()
        told = connection.execute(sa.select(tables.outbox.c.subject).where(tables.outbox.c.type == "dataset.deleted"))
        assert gone == [("telco", 1)]
        assert list(told.scalars()) == ["telco@1"]


_ALL_NAMES = functools.partial(lists_names, after=None, limit=10, names=["abc", "telco", "zoo"])

VERSIONS: Checks = {
    "_select_undeleted: versions.c.tenant_id == tenant_id": [
        Check(finds, name="theirs", found=None),
    ],
    "_select_undeleted: versions.c.name == name": [Check(finds, name="zoo", found=1)],
    "_select_undeleted: versions.c.deleted_at.is_(None)": [Check(finds, name="odd", found=1)],
    "find: versions.c.version == version": [Check(finds, version=1, found=1)],
    "find: .order_by()": [Check(finds, found=2)],
    "find: .limit()": [Check(finds, found=2)],
    "list_names: heads.c.tenant_id == tenant_id": [Check(_ALL_NAMES)],
    "list_names: heads.c.name > after": [Check(lists_names, after="abc", limit=10, names=["telco", "zoo"])],
    "list_names: .order_by()": [Check(lists_names_in_order_by_any_plan, on="postgresql")],
    "list_names: .limit()": [Check(lists_names, after=None, limit=2, names=["abc", "telco"])],
    "find_by_sha256: versions.c.sha256 == sha256": [Check(finds_by_bytes, sha256="b" * 64, found=2)],
    "find_by_sha256: .order_by()": [Check(finds_by_bytes, sha256="a" * 64, found=3)],
    "find_by_sha256: .limit()": [Check(finds_by_bytes, sha256="a" * 64, found=3)],
    "read_pinned: versions.c.tenant_id == tenant_id": [Check(reads_what_was_pinned)],
    "read_pinned: versions.c.name == name": [Check(reads_what_was_pinned)],
    "read_pinned: versions.c.version == version": [Check(reads_what_was_pinned)],
    "lock_version: versions.c.version == version": [Check(locks_only_existing_versions)],
    "lock_version: .with_for_update()": [Check(waits_for_a_deletion, on="postgresql")],
    "delete: *(versions.c[column] == getattr(row, column) for column in ('tenant_id', 'name', 'version'))": [
        Check(deletes_one_version_once)
    ],
    "delete: versions.c.deleted_at.is_(None)": [Check(deletes_one_version_once)],
}
