"""Writes what a load has made as versions of datasets, in its job's last transaction."""

import dataclasses
from typing import Any

import sqlalchemy as sa

from shared import contract, errors
from shared.ingestion.contract import Counts, LoadDataset, LoadedDataset, Watermark
from shared.objects import store
from workers import dataset_writing
from workers.ingestion import assembly, base, checks
from workers.ingestion.sources import fetch
from workers.job import Job


@dataclasses.dataclass(frozen=True)
class Record:
    """A load, from its start on."""

    job: Job
    command: LoadDataset
    start: base.Base
    fetched: fetch.Fetched
    output: store.Output
    kept_out: store.Output

    def write(self, connection: sa.Connection, made: assembly.Assembled) -> LoadedDataset:
        """Write the version, and that of the rows kept out, or none when no row is new.

        Raises RetryableError when another job came in between.
        """
        command, notes = self.command, [*self.fetched.notes, *made.notes]
        if made.table is None:
            return self._as_before(notes=notes, counts=made.counts, watermark=made.watermark)
        version = dataset_writing.write(
            connection,
            self.job,
            command.name,
            key=self.output.key,
            table=made.table,
            profile=made.table.profile,
            notes=notes,
            lineage={**self._origin(), **made.story()},
        )
        if command.mode == "append" or command.watermark or command.on_schema_change == "fail":
            self.start.hold_against(version)
        return LoadedDataset(
            dataset=version,
            notes=notes,
            counts=made.counts,
            schema_changes=made.schema_changes,
            watermark=made.watermark,
            expectations=made.outcomes,
            quarantine=self._quarantine(connection, made, version=version),
        )

    def unchanged(self, before: assembly.Before | None) -> LoadedDataset:
        """Answer that there was no row, and so no version was made; BadDataError when there is none before either."""
        if before is None or self.command.watermark is None:
            raise errors.BadDataError("The table has no rows; a dataset needs at least one row.")
        return self._as_before(
            notes=self.fetched.notes,
            counts=Counts(read=0, not_new=0, duplicates=0, quarantined=0),
            watermark=Watermark(column=self.command.watermark.column, value=checks.show(before.above)),
        )

    def _as_before(self, *, notes: list[str], counts: Counts, watermark: Watermark | None) -> LoadedDataset:
        """Answer with the latest version, since no row is new."""
        latest = self.start.latest
        if latest is None:
            raise errors.BadDataError("The table has no rows; a dataset needs at least one row.")
        return LoadedDataset(
            dataset=contract.DatasetVersion(
                name=latest.name,
                version=latest.version,
                rows=latest.rows,
                columns=len(latest.columns),
                bytes=latest.bytes,
                sha256=latest.sha256,
            ),
            created=False,
            notes=[*notes, "No row is above the watermark, so no version was made."],
            counts=counts,
            watermark=watermark,
        )

    def _origin(self) -> dict[str, Any]:
        """Give where the rows came from, and which version they were appended to."""
        origin: dict[str, Any] = {"source": self.fetched.lineage, "mode": self.command.mode}
        if self.command.mode == "append" and self.start.latest is not None:
            origin["base"] = f"{self.command.name}@{self.start.latest.version}"
        return origin

    def _quarantine(
        self, connection: sa.Connection, made: assembly.Assembled, *, version: contract.DatasetVersion
    ) -> contract.DatasetVersion | None:
        if made.quarantine is None:
            return None
        return dataset_writing.write(
            connection,
            self.job,
            self.command.quarantine,
            key=self.kept_out.key,
            table=made.quarantine,
            profile=made.quarantine.profile,
            notes=[f"These rows were kept out of {version.name}@{version.version}."],
            lineage={**self._origin(), "kept_out_of": f"{version.name}@{version.version}"},
        )
