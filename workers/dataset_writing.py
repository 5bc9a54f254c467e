"""Keeps a table that a job has written as a dataset's next version."""

from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from shared import contract
from shared.catalog import datasets
from workers.job import Job


class Table(Protocol):
    """A table that a body has written to a file."""

    @property
    def columns(self) -> Sequence[contract.Column]:
        """Its columns, in order."""

    @property
    def rows(self) -> int:
        """How many rows it has."""

    @property
    def bytes(self) -> int:
        """The file's size."""

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
    """Write the version's row in the job's last transaction; `key` is the object that holds the table."""
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
