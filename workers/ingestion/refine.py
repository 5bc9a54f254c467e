"""From the rows that were read to the rows of a version: appended, new ones only, one for each key, as expected."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from shared import contract, errors
from shared.ingestion.contract import Counts, Incremental, Watermark
from shared.ingestion.expectations import AnyExpectation, Outcome
from shared.ml import frames
from workers.ingestion import checks, engine, names, schema, selection, table_writer

BATCH_ROWS = 32_768
REASON = "failed_expectation"


class Options(Protocol):
    """What has to be known of the command `ingestion.load`."""

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
        """What the rows must be like."""


@dataclasses.dataclass(frozen=True)
class Files:
    """Where rows come from and go to."""

    read: Path
    """The rows that were read, as typed Parquet."""
    before: Path | None
    """The rows of the version that is extended, if one is."""
    target: Path
    """A new file for the version's rows."""
    quarantine: Path
    """A new file for the rows that are kept out; it is written only when there are any."""
    scratch: Path
    """A folder for what is needed on the way."""


@dataclasses.dataclass(frozen=True)
class Refined:
    """What became of the rows."""

    table: table_writer.StoredTable | None
    """The version's rows; None when they are those that were read, in the same file."""
    quarantine: table_writer.StoredTable | None
    """The rows kept out, if there are any."""
    counts: Counts
    """How many rows were left out, and why."""
    watermark: Watermark | None
    """The new watermark, if one was asked for."""
    outcomes: list[Outcome]
    """How each expectation fared."""
    notes: list[str]
    """What was noticed, each in a sentence."""


class NothingNewError(errors.BadDataError):
    """No row is above the watermark."""

    def __init__(self, watermark: Watermark, *, notes: list[str], counts: Counts) -> None:
        """Tell the watermark, what was noticed until then, and how many rows were left out."""
        super().__init__(f"No row has a {watermark.column!r} above {watermark.value!r}.")
        self.watermark = watermark
        self.notes = notes
        self.counts = counts


def refine(files: Files, *, columns: list[contract.Column], options: Options, above: Any, threads: int) -> Refined:
    """Decide which rows stay, and write them with these columns.

    `above` is the value that new rows are above; None when all of them are new. Raises BadDataError when no row is left
    or an expectation rejects the data, NothingNewError when no row is above the watermark.
    """
    with engine.opened(files.scratch, threads=threads) as connection:
        return _Work(files, columns=columns, options=options, threads=threads).run(connection, above=above)


class _Work:
    """The rows of one load on their way."""

    def __init__(self, files: Files, *, columns: list[contract.Column], options: Options, threads: int) -> None:
        self._files = files
        self._columns = columns
        self._options = options
        self._old_rows = frames.count_rows(files.before) if files.before else 0
        self._threads = threads
        self._read_rows = frames.count_rows(files.read)
        self._notes: list[str] = []

    def run(self, connection: duckdb.DuckDBPyConnection, *, above: Any) -> Refined:
        rows = selection.Selection(connection, columns=self._deciding())
        rows.fill(self._batches())
        not_new = self._drop_not_new(rows, above=above)
        duplicates = self._drop_duplicates(rows)
        outcomes = checks.check_all(rows, self._options.expectations, first_new=self._old_rows)
        self._say_unmet(outcomes)
        left = rows.count()
        if left == 0:
            raise errors.BadDataError("No row is left: every one of them was put into quarantine.")
        kept_out = self._old_rows + self._read_rows - not_new - duplicates - left
        # The rows left may take the place of the file that both are read from, so they come last.
        quarantine = self._write_quarantine(rows) if kept_out else None
        return Refined(
            table=self._write(rows) if self._files.before or left < self._read_rows else None,
            quarantine=quarantine,
            counts=Counts(read=self._read_rows, not_new=not_new, duplicates=duplicates, quarantined=kept_out),
            watermark=self._watermark(rows),
            outcomes=outcomes,
            notes=self._notes,
        )

    def _deciding(self) -> list[contract.Column]:
        """Give the columns by which rows are chosen, all of which the table must have."""
        options, present = self._options, [column.name for column in self._columns]
        watermark = [options.watermark.column] if options.watermark else []
        expected_of = [name for one in options.expectations for name in one.columns]
        for field, wanted in (("key", options.key), ("watermark", watermark), ("expectations", expected_of)):
            names.check_known(wanted, names=present, field=field)
        deciding = {*options.key, *watermark, *expected_of}
        return [column for column in self._columns if column.name in deciding]

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows before and those just read, all with the same columns."""
        column_names = [column.name for column in self._columns]
        for path in (self._files.before, self._files.read):
            for batch in frames.iterate_batches(path, batch_rows=BATCH_ROWS) if path else ():
                arrays = schema.align(batch, columns=self._columns)
                yield pa.RecordBatch.from_arrays(arrays, names=column_names)

    def _drop_not_new(self, rows: selection.Selection, *, above: Any) -> int:
        if self._options.watermark is None or above is None:
            return 0
        column = self._options.watermark.column
        without = rows.drop_without(column, first=self._old_rows)
        old = rows.drop_up_to(column, above, first=self._old_rows)
        if without:
            self._notes.append(
                f"{without:,} rows have no value in {column!r}, so nothing tells whether they are new; "
                "they were left out."
            )
        not_new = without + old
        if not_new == self._read_rows:
            raise NothingNewError(
                Watermark(column=column, value=checks.show(above)),
                notes=self._notes,
                counts=Counts(read=self._read_rows, not_new=not_new, duplicates=0, quarantined=0),
            )
        return not_new

    def _drop_duplicates(self, rows: selection.Selection) -> int:
        key = self._options.key
        if not key:
            return 0
        if without := rows.count_without(key):
            self._notes.append(f"{without:,} rows lack a part of the key; all of them were kept.")
        return rows.drop_repeated(key, keep=self._options.keep)

    def _say_unmet(self, outcomes: list[Outcome]) -> None:
        for one, outcome in zip(self._options.expectations, outcomes, strict=True):
            if not outcome.met:
                self._notes.append(f"{checks.describe(one, outcome)} {_done(outcome)}")

    def _watermark(self, rows: selection.Selection) -> Watermark | None:
        if self._options.watermark is None:
            return None
        column = self._options.watermark.column
        return Watermark(column=column, value=checks.show(rows.greatest(column)))

    def _write(self, rows: selection.Selection) -> table_writer.StoredTable:
        """Write the rows that are left; the target may be the file that is read."""
        kept, start = rows.kept(), 0
        beside = self._files.target.with_name(f"{self._files.target.name}.kept")
        with table_writer.TableWriter(beside, columns=self._columns) as writer:
            for batch in self._batches():
                if (found := kept.before(start + batch.num_rows)) is not None:
                    writer.write(_taken(batch, found, start=start).columns)
                start += batch.num_rows
        described = writer.describe(threads=self._threads)
        beside.replace(self._files.target)
        return described

    def _write_quarantine(self, rows: selection.Selection) -> table_writer.StoredTable:
        """Write the rows in quarantine, with the expectation that each of them fails."""
        marked, start = rows.quarantined(), 0
        reasons = pa.array([checks.name_of(one) for one in self._options.expectations])
        columns = [*self._columns, contract.Column(name=self._reason_name(), type="string")]
        with table_writer.TableWriter(self._files.quarantine, columns=columns) as writer:
            for batch in self._batches():
                if (found := marked.before(start + batch.num_rows)) is not None:
                    why = reasons.take(found.column("reason").combine_chunks())
                    writer.write([*_taken(batch, found, start=start).columns, why])
                start += batch.num_rows
        return writer.describe(threads=self._threads)

    def _reason_name(self) -> str:
        """Give the reason's column a name that the table does not have."""
        present = {column.name for column in self._columns}
        free = itertools.chain([REASON], (f"{REASON}_{number}" for number in itertools.count(2)))
        return next(name for name in free if name not in present)


def _done(outcome: Outcome) -> str:
    """Say what became of rows that fail."""
    if outcome.on_failure != "quarantine":
        return "This was only noted."
    return (
        f"{checks.count_of(outcome.failed_rows)} {'was' if outcome.failed_rows == 1 else 'were'} put into quarantine."
    )


def _taken(batch: pa.RecordBatch, found: pa.Table, *, start: int) -> pa.RecordBatch:
    """Give the rows of a batch whose numbers were found; its first row has the number `start`."""
    if found.num_rows == batch.num_rows:
        return batch
    return batch.take(pc.subtract(found.column("row").combine_chunks(), start))
