"""Assembles the files of a dataset's next version from a fetched table and the previous version."""

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared import contract, errors
from shared.ingestion.contract import Counts, LoadDataset, SchemaChanges, Watermark
from shared.ingestion.expectations import Outcome
from shared.progress import Progress
from workers.ingestion import load, names, schema
from workers.ingestion.new_version import new_rows, refine
from workers.ingestion.new_version.watermarks import Start
from workers.ingestion.sources.fetched_file import DatabaseSelection
from workers.tabular import table_writer


@dataclasses.dataclass(frozen=True)
class PreviousVersion:
    """The version that was the latest when the load began."""

    version: int
    columns: list[contract.Column]
    start: Start | None
    """Where a load with a watermark goes on; None without a watermark, or when every value of its column is missing."""


@dataclasses.dataclass(frozen=True)
class Assembled:
    """A version's files, and everything that its result and lineage report."""

    table: table_writer.StoredTable | None
    """The version's rows; None when no row that was read is new, and so no version is created."""
    quarantine: table_writer.StoredTable | None
    notes: list[str]
    counts: Counts
    schema_changes: SchemaChanges | None
    watermark: Watermark | None = None
    outcomes: list[Outcome] = dataclasses.field(default_factory=list)

    def describe_selection(self) -> dict[str, Any]:
        """Describe how a version's rows were chosen, for its lineage."""
        return {
            "counts": self.counts.model_dump(mode="json"),
            "schema_changes": self.schema_changes and self.schema_changes.model_dump(mode="json"),
            "watermark": self.watermark and self.watermark.model_dump(mode="json"),
            "expectations": [outcome.model_dump(mode="json") for outcome in self.outcomes],
        }


def assemble(
    source: Path,
    *,
    files: refine.Files,
    command: LoadDataset,
    previous: PreviousVersion | None,
    threads: int,
    progress: Progress,
    database: DatabaseSelection | None = None,
    like: Mapping[str, contract.ColumnType] = types.MappingProxyType({}),
) -> Assembled | None:
    """Read the table and choose its rows as the command says; None when there is a watermark but not a single row.

    Columns that `like` names have its types, unless the command gives others.
    Raises what `load.load_table` and `refine.refine` raise, and BadDataError when a column changed that must not, or
    the watermark's column is absent or of a type that cannot grow.
    """
    start = None if previous is None else previous.start
    if previous is not None:
        _check_watermark(command, previous.columns)
    try:
        loaded = load.load_table(
            source,
            target=files.loaded,
            options=command,
            scratch=files.scratch,
            prior=schema.list_columns_with_values(files.previous) if files.previous else (),
            like=like,
            threads=threads,
            progress=progress,
        )
    except load.NoRowsError as error:
        if start is None:
            raise errors.BadDataError(error.message) from error
        return None
    _check_watermark(command, loaded.columns)
    columns = schema.merge(files.previous, files.loaded, notes=loaded.notes) if files.previous else loaded.columns
    changes = None if previous is None else _compare(previous, loaded.columns, columns, command)
    counts = Counts(read=loaded.rows, not_new=0, duplicates=0, quarantined=0)
    if not (files.previous or command.key or command.watermark or command.expectations):
        return Assembled(table=loaded, quarantine=None, notes=loaded.notes, counts=counts, schema_changes=changes)
    try:
        refined = refine.refine(
            files, columns=columns, options=command, start=start, threads=threads, database=database
        )
    except new_rows.NothingNewError as nothing_new:
        return Assembled(
            table=None,
            quarantine=None,
            notes=[*loaded.notes, *nothing_new.notes],
            counts=nothing_new.counts,
            schema_changes=changes,
            watermark=nothing_new.watermark,
        )
    return Assembled(
        table=refined.table or loaded,
        quarantine=refined.quarantine,
        notes=[*loaded.notes, *refined.notes],
        counts=refined.counts,
        schema_changes=changes,
        watermark=refined.watermark,
        outcomes=refined.outcomes,
    )


def _check_watermark(command: LoadDataset, columns: list[contract.Column]) -> None:
    """Raise BadDataError when the watermark's column is not among these, or is of a type that cannot grow."""
    if command.watermark is None:
        return
    name = command.watermark.column
    names.require_columns([name], names=[column.name for column in columns], field="watermark")
    if any(column.name == name and column.type == "boolean" for column in columns):
        raise errors.BadDataError(
            f"The watermark column {name!r} is of type boolean, which cannot grow; "
            "use a column of numbers, dates, times or text."
        )


def _compare(
    previous: PreviousVersion, loaded: list[contract.Column], columns: list[contract.Column], command: LoadDataset
) -> SchemaChanges:
    """Compare with the previous version; BadDataError when a column changed that must not."""
    changes = schema.compare(previous.columns, columns, loaded=loaded, against=previous.version)
    if command.on_schema_change == "fail":
        schema.refuse_changes(command.name, changes)
    watermark_column = command.watermark and command.watermark.column
    for column in changes.retyped:
        if column.name == watermark_column and {column.before, column.now} != {"integer", "number"}:
            raise errors.BadDataError(
                f"The watermark column {column.name!r} was of type {column.before} and is now of type "
                f"{column.now}, so new rows can't be told from old ones. Set its type in `types`, or load without "
                "`watermark`."
            )
    return changes
