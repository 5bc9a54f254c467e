"""The state of a dataset that a load starts from: its latest version must still be the latest when the load ends."""

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import sqlalchemy as sa

from shared import contract, errors
from shared.catalog import datasets, versions
from shared.ml import frames
from workers.ingestion import names

BATCH_ROWS = 131_072


@dataclasses.dataclass(frozen=True)
class DatasetState:
    """The state of a dataset when a load began."""

    name: str
    last_version: int
    """The highest version number that it has ever had; 0 when it has never had a version."""
    latest: contract.DatasetPin | None
    """The latest version that has not been deleted."""
    lineage: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Where that version came from."""

    def check_next(self, created: contract.DatasetVersion) -> None:
        """Raise RetryableError when another job has created a version since, whose rows this one would lack."""
        if created.version != self.last_version + 1:
            raise errors.RetryableError(
                f"Another job has created {self.name}@{created.version - 1} in the meantime; "
                "this job starts again from that version."
            )


def read_state(connection: sa.Connection, *, tenant_id: str, name: str) -> DatasetState:
    """Read the current state of a dataset."""
    heads = datasets.HEADS
    # The head is read first, so that `check_next` notices a version that is created between the two queries.
    last = connection.execute(
        sa.select(heads.c.last_version).where(heads.c.tenant_id == tenant_id, heads.c.name == name)
    ).scalar()
    row = versions.find(connection, datasets.VERSIONS, tenant_id=tenant_id, name=name, version=None)
    latest = None if row is None else contract.DatasetPin.model_validate(datasets.pin_of(row))
    return DatasetState(name, last or 0, latest, {} if row is None else dict(row.lineage))


def find_greatest(path: Path, *, column: str) -> Any:
    """Find the greatest value of a version's column; None when it has no value. BadDataError without that column."""
    names.require_columns([column], names=[field.name for field in frames.read_columns(path)], field="watermark")
    greatest = None
    for batch in frames.iterate_batches(path, batch_rows=BATCH_ROWS, columns=[column]):
        value = pc.max(batch.column(0)).as_py()
        greatest = value if greatest is None or (value is not None and value > greatest) else greatest
    return greatest
