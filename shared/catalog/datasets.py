"""Datasets: each role that makes them stores its own in its own database, in the same tables.

docs/decisions/datasets.md, "Datasets are kept by the role that makes them".
"""

import dataclasses
from typing import Any

import sqlalchemy as sa

from shared import contract
from shared.catalog import kept_tables, marks, versions
from shared.catalog.lineage import add_table, note_lineage
from shared.jobs import outbox, tables

ROLES = kept_tables.DATASET.keepers
"""The roles that make datasets, in the order in which a name is looked up."""


@dataclasses.dataclass(frozen=True)
class Tables:
    """A role's dataset tables."""

    heads: sa.Table
    versions: sa.Table
    tags: sa.Table


def add_tables(metadata: sa.MetaData) -> Tables:
    """Add the dataset tables to a role's metadata, and the table of lineage edges."""
    add_table(metadata)
    heads = versions.add_heads(metadata, "datasets")
    rows = sa.Table(
        "dataset_versions",
        metadata,
        *versions.key_columns(),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("columns", tables.JSON, nullable=False),
        sa.Column("profile", tables.JSON, nullable=False),
        sa.Column("notes", tables.JSON, nullable=False),
        sa.Column("lineage", tables.JSON, nullable=False),
    )
    return Tables(heads, rows, marks.add_version_table(metadata, "dataset_tags"))


_tables = add_tables(sa.MetaData())
HEADS = _tables.heads
VERSIONS = _tables.versions
TAGS = _tables.tags


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewVersion:
    """A dataset's version that a job has made, before it has a number."""

    tenant_id: str
    name: str
    job_id: str
    created_by: str
    key: str
    sha256: str
    bytes: int
    rows: int
    columns: list[contract.Column]
    profile: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    lineage: dict[str, Any] = dataclasses.field(default_factory=dict)
    tags: list[str] | None = None
    """Those of the job when there are none."""
    note: str | None = None


def add(connection: sa.Connection, new: NewVersion) -> contract.DatasetVersion:
    """Write a dataset's next version in the job's last transaction, with its event `dataset.created`."""
    version = versions.take_next(connection, HEADS, tenant_id=new.tenant_id, name=new.name)
    columns = [column.model_dump(mode="json") for column in new.columns]
    tags = marks.tags_of_job(connection, new.job_id) if new.tags is None else new.tags
    row = {field.name: getattr(new, field.name) for field in dataclasses.fields(new)}
    row |= {"columns": columns, "tags": tags, "version": version}
    versions.insert(connection, VERSIONS, TAGS, row)
    label = f"{new.name}@{version}"
    note_lineage(connection, "dataset", label, tenant_id=new.tenant_id, job_id=new.job_id, lineage=new.lineage)
    pin = contract.DatasetPin(
        name=new.name,
        version=version,
        key=new.key,
        sha256=new.sha256,
        rows=new.rows,
        bytes=new.bytes,
        columns=new.columns,
    )
    data = {"name": new.name, "version": version, "pin": pin.model_dump(mode="json")}
    outbox.put(connection, [outbox.Event("dataset.created", label, new.tenant_id, data)])
    return contract.DatasetVersion(
        name=new.name,
        version=version,
        rows=new.rows,
        columns=len(new.columns),
        bytes=new.bytes,
        sha256=new.sha256,
    )


def pin_of(row: sa.Row[Any]) -> dict[str, Any]:
    """Build the pin of a version from its row."""
    return {name: getattr(row, name) for name in contract.DatasetPin.model_fields}
