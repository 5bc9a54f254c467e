"""Writes the row of a dataset version whose table a job has written to a file."""

from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from shared import contract
from shared.catalog import datasets
from workers.job import Job


class Table(Protocol):
    """A table that a job's body has written to a file."""

    @property
    def columns(self) -> Sequence[contract.Column]:
        """The columns, in order."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    @property
    def bytes(self) -> int:
        """The file's size in bytes."""

    @property
    def sha256(self) -> str:
        """The file's SHA-256, in hexadecimal."""


def write(
    connection: sa.Connection,
    job: Job,
    name: str,
    *,
    key: str,
    table: Table,
    notes: list[str],
    lineage: dict[str, Any],
    profile: list[dict[str, Any]] | None = None,
) -> contract.DatasetVersion:
    """Write a dataset's next version in the job's last transaction; `key` names the object that holds the table."""
    return datasets.add(
        connection,
        datasets.NewVersion(
            tenant_id=job.tenant_id,
            name=name,
            job_id=job.id,
            created_by=job.submitted_by,
            key=key,
            sha256=table.sha256,
            bytes=table.bytes,
            rows=table.rows,
            columns=list(table.columns),
            profile=profile or [],
            notes=notes,
            lineage=lineage,
        ),
    )
