"""Tags and a note: what users write on versions and evaluations, when they submit the job and later.

See docs/decisions/models.md, "A version takes the tags of its job, and both can be changed".
"""

from collections.abc import Sequence
from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from shared.jobs import tables

Tag = Annotated[str, pydantic.Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
MAX_TAGS = 20
Tags = Annotated[list[Tag], pydantic.Field(max_length=MAX_TAGS)]
Note = Annotated[str, pydantic.Field(max_length=10_000)]


def columns() -> list[sa.Column[Any]]:
    """Build the columns that show the tags and the note of a row."""
    return [sa.Column("tags", tables.JSON, nullable=False, server_default="[]"), sa.Column("note", sa.Text)]


def add_table(metadata: sa.MetaData, name: str, *, key: Sequence[sa.Column[Any]]) -> sa.Table:
    """Add a table with a row for each tag, by which lists are filtered, in the order of the key or newest first."""
    names = [column.name for column in key]
    table = sa.Table(
        name,
        metadata,
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("tag", sa.String(100), primary_key=True),
        *key,
        sa.Column("created_at", tables.Milliseconds, nullable=False),
    )
    sa.Index(f"ix_{name}_newest", *(table.c[column] for column in ("tenant_id", "tag", "created_at", *names)))
    sa.Index(f"ix_{name}_key", *(table.c[column] for column in ("tenant_id", *names)))
    return table


def add_version_table(metadata: sa.MetaData, name: str) -> sa.Table:
    """Add the table of the tags of versions."""
    key: list[sa.Column[Any]] = [
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
    ]
    return add_table(metadata, name, key=key)


def tags_of_job(connection: sa.Connection, job_id: str) -> list[str]:
    """Read the tags of a job, in the transaction that writes what it has made."""
    job = tables.jobs
    found: list[str] | None = connection.execute(sa.select(job.c.tags).where(job.c.id == job_id)).scalar()
    return found or []


def note_tags(connection: sa.Connection, table: sa.Table, tags: Sequence[str], **key: Any) -> None:
    """Write the rows of a new version's or evaluation's tags; `key` has `created_at` too."""
    rows = [{**key, "tag": tag} for tag in dict.fromkeys(tags)]
    if rows:
        connection.execute(sa.insert(table), rows)


def change(
    connection: sa.Connection, table: sa.Table, tag_table: sa.Table, *, changes: dict[str, Any], **key: Any
) -> bool:
    """Change the tags, the note or both of a row; return whether it is there and not deleted."""
    is_row = [table.c[name] == value for name, value in key.items()]
    if "deleted_at" in table.c:
        is_row.append(table.c.deleted_at.is_(None))
    # The row stays locked until the transaction ends, so that two changes of its tags follow each other.
    row = connection.execute(
        sa.update(table).where(*is_row).values(changes).returning(table.c.created_at)
    ).one_or_none()
    if row is not None and "tags" in changes:
        connection.execute(sa.delete(tag_table).where(*(tag_table.c[name] == value for name, value in key.items())))
        note_tags(connection, tag_table, changes["tags"], **key, created_at=row.created_at)
    return row is not None
