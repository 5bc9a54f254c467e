"""The version that a load starts from: the latest one, which must still be the latest when the load ends."""

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
class Base:
    """What a dataset was when a load began."""

    name: str
    last_version: int
    """The greatest version that it has had; 0 when it has had none."""
    latest: contract.DatasetPin | None
    """The latest version that is still there."""

    def hold_against(self, made: contract.DatasetVersion) -> None:
        """Raise RetryableError when another job has made a version since: this one's would be without its rows."""
        if made.version != self.last_version + 1:
            raise errors.RetryableError(
                f"Another job has made {self.name}@{made.version - 1} meanwhile; this one starts anew from that."
            )


def read(connection: sa.Connection, *, tenant_id: str, name: str) -> Base:
    """Read what a dataset is now."""
    heads = datasets.HEADS
    # The head comes first: should a version be made between the two, it is then found out at the end.
    last = connection.execute(
        sa.select(heads.c.last_version).where(heads.c.tenant_id == tenant_id, heads.c.name == name)
    ).scalar()
    row = versions.find(connection, datasets.VERSIONS, tenant_id=tenant_id, name=name, version=None)
    latest = None if row is None else contract.DatasetPin.model_validate(datasets.pin_of(row))
    return Base(name, last or 0, latest)


def greatest(path: Path, *, column: str) -> Any:
    """Give the greatest value of a version's column; None when it has no value. BadDataError without that column."""
    names.check_known([column], names=[one.name for one in frames.read_columns(path)], field="watermark")
    most = None
    for batch in frames.iterate_batches(path, batch_rows=BATCH_ROWS, columns=[column]):
        here = pc.max(batch.column(0)).as_py()
        most = here if most is None or (here is not None and here > most) else most
    return most
