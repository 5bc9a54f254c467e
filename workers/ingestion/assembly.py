"""Makes the files of a dataset's next version from a table that was fetched and the version before."""

import dataclasses
from pathlib import Path
from typing import Any

from shared import contract, errors
from shared.ingestion.contract import Counts, LoadDataset, SchemaChanges, Watermark
from shared.ingestion.expectations import Outcome
from shared.progress import Progress
from workers.ingestion import load, names, refine, schema, table_writer


@dataclasses.dataclass(frozen=True)
class Before:
    """The version before."""

    version: int
    columns: list[contract.Column]
    above: Any
    """The greatest value of its watermark column; None when every value is missing, or there is no such column."""


@dataclasses.dataclass(frozen=True)
class Assembled:
    """A version's files, and all there is to say of them."""

    table: table_writer.StoredTable | None
    """The version's rows; None when none of those that were read is above the watermark, and so no version is made."""
    quarantine: table_writer.StoredTable | None
    notes: list[str]
    counts: Counts
    schema_changes: SchemaChanges | None
    watermark: Watermark | None = None
    outcomes: list[Outcome] = dataclasses.field(default_factory=list)

    def story(self) -> dict[str, Any]:
        """Give what a version's lineage says of how its rows were chosen."""
        return {
            "counts": self.counts.model_dump(mode="json"),
            "schema_changes": self.schema_changes and self.schema_changes.model_dump(mode="json"),
            "watermark": self.watermark and self.watermark.model_dump(mode="json"),
            "expectations": [one.model_dump(mode="json") for one in self.outcomes],
        }


def assemble(
    fetched: Path,
    *,
    files: refine.Files,
    command: LoadDataset,
    before: Before | None,
    threads: int,
    progress: Progress,
) -> Assembled | None:
    """Read the table and make of it what the command says; None when there is a watermark, and no row at all.

    Raises what `load.load_table` and `refine.refine` do, and BadDataError when columns changed that must not, or the
    watermark's is not there or does not grow.
    """
    above = None if before is None else before.above
    if before is not None:
        _check_watermark(command, before.columns)
    try:
        read = load.load_table(
            fetched,
            target=files.read,
            options=command,
            scratch=files.scratch,
            prior=schema.settled(files.before) if files.before else (),
            threads=threads,
            progress=progress,
        )
    except load.NoRowsError as none:
        if above is None:
            raise errors.BadDataError(none.message) from none
        return None
    _check_watermark(command, read.columns)
    columns = schema.union(files.before, files.read, notes=read.notes) if files.before else read.columns
    changes = None if before is None else _compare(before, read.columns, columns, command)
    counts = Counts(read=read.rows, not_new=0, duplicates=0, quarantined=0)
    if not (files.before or command.key or command.watermark or command.expectations):
        return Assembled(read, None, read.notes, counts, changes)
    try:
        made = refine.refine(files, columns=columns, options=command, above=above, threads=threads)
    except refine.NothingNewError as none:
        return Assembled(None, None, [*read.notes, *none.notes], none.counts, changes, none.watermark)
    return Assembled(
        table=made.table or read,
        quarantine=made.quarantine,
        notes=[*read.notes, *made.notes],
        counts=made.counts,
        schema_changes=changes,
        watermark=made.watermark,
        outcomes=made.outcomes,
    )


def _check_watermark(command: LoadDataset, columns: list[contract.Column]) -> None:
    """Raise BadDataError when the watermark's column is not among these, or of a type that does not grow."""
    if command.watermark is None:
        return
    wanted = command.watermark.column
    names.check_known([wanted], names=[column.name for column in columns], field="watermark")
    if any(column.name == wanted and column.type == "boolean" for column in columns):
        raise errors.BadDataError(
            f"The watermark column {wanted!r} is of type boolean, which does not grow; "
            "name a column of numbers, dates, times or text."
        )


def _compare(
    before: Before, seen: list[contract.Column], columns: list[contract.Column], command: LoadDataset
) -> SchemaChanges:
    """Compare with the version before; BadDataError when a column changed that must not."""
    changes = schema.changes(before.columns, columns, seen=seen, against=before.version)
    if command.on_schema_change == "fail":
        schema.refuse(command.name, changes)
    column = command.watermark and command.watermark.column
    for one in changes.retyped:
        if one.name == column and {one.before, one.now} != {"integer", "number"}:
            raise errors.BadDataError(
                f"The watermark column {column!r} was of type {one.before} and is of type {one.now} now, so that new "
                "rows can't be told from old ones. Give its type in `types`, or load without `watermark`."
            )
    return changes
