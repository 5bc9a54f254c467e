"""Writes the tables that a load has assembled as versions of datasets, in its job's last transaction."""

import dataclasses
from typing import Any

import sqlalchemy as sa

from shared import contract, errors
from shared.ingestion.contract import Counts, LoadDataset, LoadedDataset, Watermark
from shared.objects import store
from workers import dataset_writing
from workers.ingestion import assembly, base
from workers.ingestion.new_version import checks
from workers.ingestion.sources import fetched_file
from workers.job import Job


@dataclasses.dataclass(frozen=True)
class VersionWriter:
    """Writes the versions of one load, from its command, the state that it began with and the file that it fetched."""

    job: Job
    command: LoadDataset
    base_state: base.DatasetState
    fetched: fetched_file.FetchedFile
    output: store.Output
    quarantine_output: store.Output

    def write(self, connection: sa.Connection, assembled: assembly.Assembled) -> LoadedDataset:
        """Write the version, and that of the quarantined rows, or none when no row is new.

        Raises RetryableError when another job has created a version in the meantime.
        """
        command, notes = self.command, [*self.fetched.notes, *assembled.notes]
        if assembled.table is None:
            return self._report_latest(notes=notes, counts=assembled.counts, watermark=assembled.watermark)
        version = dataset_writing.write(
            connection,
            self.job,
            command.name,
            key=self.output.key,
            table=assembled.table,
            profile=assembled.table.profile,
            notes=notes,
            lineage={**self._describe_origin(), **assembled.describe_selection()},
        )
        if command.mode == "append" or command.watermark or command.on_schema_change == "fail":
            self.base_state.check_next(version)
        return LoadedDataset(
            dataset=version,
            notes=notes,
            counts=assembled.counts,
            schema_changes=assembled.schema_changes,
            watermark=assembled.watermark,
            expectations=assembled.outcomes,
            quarantine=self._write_quarantine(connection, assembled, version=version),
        )

    def report_unchanged(self, previous: assembly.PreviousVersion | None) -> LoadedDataset:
        """Report that no row was read and no version created; BadDataError when there is no previous version."""
        if previous is None or self.command.watermark is None:
            raise errors.BadDataError("The table has no rows; a dataset needs at least one row.")
        left_out = self.fetched.selection.left_out if self.fetched.selection else 0
        return self._report_latest(
            notes=self.fetched.notes,
            counts=Counts(read=left_out, not_new=left_out, duplicates=0, quarantined=0),
            watermark=Watermark(
                column=self.command.watermark.column,
                value=checks.to_json_value(previous.start and previous.start.greatest),
                quarantined_from=checks.to_json_value(previous.start and previous.start.quarantined_from),
            ),
        )

    def _report_latest(self, *, notes: list[str], counts: Counts, watermark: Watermark | None) -> LoadedDataset:
        """Return the latest version as the result, since no row is new."""
        latest = self.base_state.latest
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
            notes=[*notes, "No row is new, so no version was created."],
            counts=counts,
            watermark=watermark,
        )

    def _describe_origin(self) -> dict[str, Any]:
        """Describe where the rows came from, and which version they were appended to."""
        origin: dict[str, Any] = {"source": self.fetched.lineage, "mode": self.command.mode}
        if self.command.mode == "append" and self.base_state.latest is not None:
            origin["base"] = f"{self.command.name}@{self.base_state.latest.version}"
        if self.command.like is not None:
            origin["like"] = contract.ModelPin.model_validate(self.job.pinned["like"]).label
        return origin

    def _write_quarantine(
        self, connection: sa.Connection, assembled: assembly.Assembled, *, version: contract.DatasetVersion
    ) -> contract.DatasetVersion | None:
        if assembled.quarantine is None:
            return None
        return dataset_writing.write(
            connection,
            self.job,
            self.command.quarantine,
            key=self.quarantine_output.key,
            table=assembled.quarantine,
            profile=assembled.quarantine.profile,
            notes=[f"These rows were kept out of {version.name}@{version.version}."],
            lineage={**self._describe_origin(), "kept_out_of": f"{version.name}@{version.version}"},
        )
