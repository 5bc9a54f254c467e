"""Turns loaded rows into a version's rows: appends, drops old rows and duplicates, and checks expectations."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from shared import contract, errors
from shared.ingestion.contract import Counts, Incremental, Watermark
from shared.ingestion.expectations import AnyExpectation, Outcome
from shared.ml import frames
from workers.ingestion import names, schema
from workers.ingestion.new_version import checks, new_rows, selection
from workers.ingestion.new_version.watermarks import Start
from workers.ingestion.sources.fetched_file import DatabaseSelection
from workers.tabular import engine, table_writer

BATCH_ROWS = 32_768
REASON = "failed_expectation"


class Options(Protocol):
    """The fields of the command `ingestion.load` that are used here."""

    @property
    def key(self) -> list[str]:
        """Columns that identify a row."""

    @property
    def keep(self) -> Literal["first", "last"]:
        """Which row of a key to keep."""

    @property
    def watermark(self) -> Incremental | None:
        """Load only what is new."""

    @property
    def expectations(self) -> list[AnyExpectation]:
        """What must hold for the rows."""


@dataclasses.dataclass(frozen=True)
class Files:
    """The files that rows are read from and written to."""

    loaded: Path
    """The rows that were loaded, as typed Parquet."""
    previous: Path | None
    """The rows of the version that is appended to, if there is one."""
    latest: Path | None
    """The rows of the latest version, whether they are appended to or replaced."""
    target: Path
    """A new file for the version's rows."""
    quarantine: Path
    """A new file for the quarantined rows; it is written only when there are any."""
    scratch: Path
    """A folder for temporary files."""


@dataclasses.dataclass(frozen=True)
class Refined:
    """The selected rows, and what was left out."""

    table: table_writer.StoredTable | None
    """The version's rows; None when they are exactly the loaded ones, in the same file."""
    quarantine: table_writer.StoredTable | None
    """The quarantined rows, if there are any."""
    counts: Counts
    """How many rows were left out, and why."""
    watermark: Watermark | None
    """The new watermark, if the command has one."""
    outcomes: list[Outcome]
    """The outcome of each expectation."""
    notes: list[str]
    """What was noticed, each in a sentence."""


def refine(
    files: Files,
    *,
    columns: list[contract.Column],
    options: Options,
    start: Start | None,
    threads: int,
    database: DatabaseSelection | None = None,
) -> Refined:
    """Select the rows to keep, and write them with these columns.

    Without a `start`, all rows are new; `database` tells what the database has left out already. Raises BadDataError
    when no row remains or an expectation rejects the data, new_rows.NothingNewError when no row is new.
    """
    with engine.open_database(files.scratch, threads=threads) as connection:
        return _Refinement(files, columns=columns, options=options, threads=threads, database=database).run(
            connection, start=start
        )


class _Refinement:
    """One load's rows, from loading to the version."""

    def __init__(
        self,
        files: Files,
        *,
        columns: list[contract.Column],
        options: Options,
        threads: int,
        database: DatabaseSelection | None,
    ) -> None:
        self._files = files
        self._columns = columns
        self._options = options
        self._old_rows = frames.count_rows(files.previous) if files.previous else 0
        self._threads = threads
        self._loaded_rows = frames.count_rows(files.loaded)
        self._database = database
        self._notes: list[str] = []

    def run(self, connection: duckdb.DuckDBPyConnection, *, start: Start | None) -> Refined:
        rows = selection.Selection(connection, columns=self._list_deciding_columns())
        rows.fill(self._read_batches())
        new = self._find_new_rows(rows, start=start)
        not_new = new.drop_not_new(connection) if new else 0
        duplicates = self._drop_duplicates(rows)
        outcomes = checks.check_all(rows, self._options.expectations, first_new=self._old_rows)
        self._note_unmet(outcomes)
        remaining = rows.count()
        if remaining == 0:
            raise errors.BadDataError("No row is left: all of them were put into quarantine.")
        read = new.read_rows if new else self._loaded_rows
        quarantined = self._old_rows + read - not_new - duplicates - remaining
        counts = Counts(read=read, not_new=not_new, duplicates=duplicates, quarantined=quarantined)
        watermark = new.find_watermark() if new else None
        notes = [*(new.notes if new else []), *self._notes]
        if new and watermark:
            new.refuse_as_before(watermark, notes=notes, counts=counts)
        # The remaining rows may replace the file that both are read from, so they are written last.
        quarantine = self._write_quarantine(rows) if quarantined else None
        return Refined(
            table=self._write(rows) if self._files.previous or remaining < self._loaded_rows else None,
            quarantine=quarantine,
            counts=counts,
            watermark=watermark,
            outcomes=outcomes,
            notes=notes,
        )

    def _list_deciding_columns(self) -> list[contract.Column]:
        """List the columns by which rows are selected, all of which the table must have."""
        options, present = self._options, [column.name for column in self._columns]
        watermark = [options.watermark.column] if options.watermark else []
        expected = [name for expectation in options.expectations for name in expectation.columns]
        for field, required in (("key", options.key), ("watermark", watermark), ("expectations", expected)):
            names.require_columns(required, names=present, field=field)
        deciding = {*options.key, *watermark, *expected}
        return [column for column in self._columns if column.name in deciding]

    def _read_batches(self) -> Iterator[pa.RecordBatch]:
        """Read the previous version's rows and then the loaded ones, all with the same columns."""
        column_names = [column.name for column in self._columns]
        for path in (self._files.previous, self._files.loaded):
            for batch in frames.iterate_batches(path, batch_rows=BATCH_ROWS) if path else ():
                arrays = schema.align(batch, columns=self._columns)
                yield pa.RecordBatch.from_arrays(arrays, names=column_names)

    def _drop_duplicates(self, rows: selection.Selection) -> int:
        key = self._options.key
        if not key:
            return 0
        if incomplete := rows.count_incomplete(key):
            self._notes.append(f"{incomplete:,} rows have no value in a column of the key; all of them were kept.")
        return rows.drop_duplicates(key, keep=self._options.keep)

    def _note_unmet(self, outcomes: list[Outcome]) -> None:
        for expectation, outcome in zip(self._options.expectations, outcomes, strict=True):
            if not outcome.met:
                self._notes.append(f"{checks.describe(expectation, outcome)} {_describe_action(outcome)}")

    def _find_new_rows(self, rows: selection.Selection, *, start: Start | None) -> new_rows.NewRows | None:
        if self._options.watermark is None:
            return None
        load = new_rows.Load(
            column=self._options.watermark.column,
            loaded=self._files.loaded,
            loaded_rows=self._loaded_rows,
            latest=self._files.latest,
            old_rows=self._old_rows,
            start=start,
            has_key=bool(self._options.key),
            database=self._database,
        )
        return new_rows.NewRows(load, rows)

    def _write(self, rows: selection.Selection) -> table_writer.StoredTable:
        """Write the remaining rows; the target may be the file that is read."""
        kept, start = rows.kept_rows(), 0
        temporary = self._files.target.with_name(f"{self._files.target.name}.kept")
        with table_writer.TableWriter(temporary, columns=self._columns) as writer:
            for batch in self._read_batches():
                if (numbers := kept.take_below(start + batch.num_rows)) is not None:
                    writer.write(_take(batch, numbers, start=start).columns)
                start += batch.num_rows
        stored = writer.describe(threads=self._threads)
        temporary.replace(self._files.target)
        return stored

    def _write_quarantine(self, rows: selection.Selection) -> table_writer.StoredTable:
        """Write the rows in quarantine, each with the expectation that it fails."""
        quarantined, start = rows.quarantined_rows(), 0
        reasons = pa.array([checks.label(expectation) for expectation in self._options.expectations])
        columns = [*self._columns, contract.Column(name=self._choose_reason_name(), type="string")]
        with table_writer.TableWriter(self._files.quarantine, columns=columns) as writer:
            for batch in self._read_batches():
                if (numbers := quarantined.take_below(start + batch.num_rows)) is not None:
                    row_reasons = reasons.take(numbers.column("reason").combine_chunks())
                    writer.write([*_take(batch, numbers, start=start).columns, row_reasons])
                start += batch.num_rows
        return writer.describe(threads=self._threads)

    def _choose_reason_name(self) -> str:
        """Choose a name for the column of reasons that the table does not have."""
        present = {column.name for column in self._columns}
        free = itertools.chain([REASON], (f"{REASON}_{number}" for number in itertools.count(2)))
        return next(name for name in free if name not in present)


def _describe_action(outcome: Outcome) -> str:
    """Describe what was done with the rows that fail."""
    if outcome.on_failure != "quarantine":
        return "This was only noted."
    return (
        f"{checks.format_rows(outcome.failed_rows)} {'was' if outcome.failed_rows == 1 else 'were'} "
        "put into quarantine."
    )


def _take(batch: pa.RecordBatch, numbers: pa.Table, *, start: int) -> pa.RecordBatch:
    """Take the rows of a batch by their numbers; its first row has the number `start`."""
    if numbers.num_rows == batch.num_rows:
        return batch
    return batch.take(pc.subtract(numbers.column("row").combine_chunks(), start))
