"""Names and their versions: datasets, feature sets and models are stored in the same way."""

from typing import Any

import sqlalchemy as sa

from shared import clock, database
from shared.catalog import marks
from shared.jobs import outbox, tables


def add_heads(metadata: sa.MetaData, name: str) -> sa.Table:
    """Add a table with a row for each name and the greatest version it has had."""
    return sa.Table(
        name,
        metadata,
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("last_version", sa.Integer, nullable=False),
        sa.Column("created_at", tables.Milliseconds, nullable=False),
        sa.Column("updated_at", tables.Milliseconds, nullable=False),
    )


def key_columns() -> list[sa.Column[Any]]:
    """Build the columns that every table of versions begins with."""
    return [
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", tables.Milliseconds, nullable=False),
        sa.Column("deleted_at", tables.Milliseconds),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        *marks.columns(),
    ]


def take_next(connection: sa.Connection, heads: sa.Table, *, tenant_id: str, name: str) -> int:
    """Take a name's next version; its row stays locked until the transaction ends, so versions have no gaps."""
    now = clock.now_ms()
    statement = database.insert(connection, heads).values(
        tenant_id=tenant_id, name=name, last_version=1, created_at=now, updated_at=now
    )
    return int(
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[heads.c.tenant_id, heads.c.name],
                set_={"last_version": heads.c.last_version + 1, "updated_at": now},
            ).returning(heads.c.last_version)
        ).scalar_one()
    )


def insert(connection: sa.Connection, versions: sa.Table, tag_table: sa.Table, row: dict[str, Any]) -> None:
    """Insert the row of a new version, which has all columns but `created_at`, and its tags."""
    created_at = connection.execute(
        sa.insert(versions).values(created_at=clock.now_ms(), **row).returning(versions.c.created_at)
    ).scalar_one()
    key = {name: row[name] for name in ("tenant_id", "name", "version")}
    marks.note_tags(connection, tag_table, row["tags"], **key, created_at=created_at)


def find(
    connection: sa.Connection, versions: sa.Table, *, tenant_id: str, name: str, version: int | None
) -> sa.Row[Any] | None:
    """Read a version's row, that of the latest without a `version`; None when it is missing or was deleted."""
    query = _select_undeleted(versions, tenant_id=tenant_id, name=name)
    if version is not None:
        query = query.where(versions.c.version == version)
    return connection.execute(query.order_by(versions.c.version.desc()).limit(1)).one_or_none()


def find_by_sha256(
    connection: sa.Connection, versions: sa.Table, *, tenant_id: str, name: str, sha256: str
) -> sa.Row[Any] | None:
    """Read the row of a name's latest version with these bytes; None when all such are missing or were deleted."""
    query = _select_undeleted(versions, tenant_id=tenant_id, name=name).where(versions.c.sha256 == sha256)
    return connection.execute(query.order_by(versions.c.version.desc()).limit(1)).one_or_none()


def read_pinned(
    connection: sa.Connection, versions: sa.Table, *, tenant_id: str, name: str, version: int
) -> sa.Row[Any]:
    """Read the row of a version that a job has pinned, whether or not it was deleted since."""
    return connection.execute(
        sa.select(versions).where(
            versions.c.tenant_id == tenant_id, versions.c.name == name, versions.c.version == version
        )
    ).one()


def lock_version(connection: sa.Connection, versions: sa.Table, *, tenant_id: str, name: str, version: int) -> bool:
    """Keep a version from being deleted until the transaction ends; return whether it exists."""
    query = _select_undeleted(versions, tenant_id=tenant_id, name=name).where(versions.c.version == version)
    locked = query.with_only_columns(versions.c.version).with_for_update(read=True)
    return connection.execute(locked).one_or_none() is not None


def list_names(
    connection: sa.Connection, heads: sa.Table, *, tenant_id: str, after: str | None, limit: int
) -> list[sa.Row[Any]]:
    """Read names in alphabetical order, those after a name."""
    query = sa.select(heads).where(heads.c.tenant_id == tenant_id)
    if after is not None:
        query = query.where(heads.c.name > after)
    return list(connection.execute(query.order_by(heads.c.name).limit(limit)).all())


def delete(connection: sa.Connection, versions: sa.Table, row: sa.Row[Any], *, type_: str) -> None:
    """Mark a version as deleted and announce it, once; its object stays until the store is pruned."""
    marked = connection.execute(
        sa.update(versions)
        .where(
            *(versions.c[column] == getattr(row, column) for column in ("tenant_id", "name", "version")),
            versions.c.deleted_at.is_(None),
        )
        .values(deleted_at=clock.now_ms())
    )
    if marked.rowcount:
        data = {"name": row.name, "version": row.version}
        outbox.put(connection, [outbox.Event(f"{type_}.deleted", f"{row.name}@{row.version}", row.tenant_id, data)])


def _select_undeleted(versions: sa.Table, *, tenant_id: str, name: str) -> sa.Select[Any]:
    return sa.select(versions).where(
        versions.c.tenant_id == tenant_id, versions.c.name == name, versions.c.deleted_at.is_(None)
    )
