"""Tells the loaded rows that are new, by a watermark, from those that are not.

docs/decisions/ingestion.md, "A watermark reads again what it can't be sure of"
"""

import dataclasses
from pathlib import Path

import duckdb

from shared import errors
from shared.ingestion.contract import Counts, Watermark
from workers.ingestion import schema
from workers.ingestion.new_version import checks, known_rows, selection
from workers.ingestion.new_version.watermarks import Start
from workers.ingestion.sources.fetched_file import DatabaseSelection


class NothingNewError(errors.BadDataError):
    """No row is new."""

    def __init__(self, watermark: Watermark, *, notes: list[str], counts: Counts) -> None:
        """Carry the watermark, the notes so far, and how many rows were left out."""
        super().__init__(f"No row from {watermark.column!r} {watermark.value!r} on is new.")
        self.watermark = watermark
        self.notes = notes
        self.counts = counts


@dataclasses.dataclass(frozen=True)
class Load:
    """What a load with a watermark has read, and what was there before."""

    column: str
    """The column of the watermark."""
    loaded: Path
    """The rows that were loaded."""
    loaded_rows: int
    """How many they are."""
    latest: Path | None
    """The rows of the latest version, if there is one."""
    old_rows: int
    """How many rows of the latest version the new one begins with; 0 when it is replaced."""
    start: Start | None
    """Where the load goes on; None when all rows are new."""
    has_key: bool
    """Whether rows that have changed replace those before."""
    database: DatabaseSelection | None
    """What the database has left out already."""

    @property
    def counts(self) -> Counts:
        """How many rows were read, those included that the database left out; all of them are old."""
        rows = self.loaded_rows + (self.database.left_out if self.database else 0)
        return Counts(read=rows, not_new=rows, duplicates=0, quarantined=0)

    @property
    def watermark_before(self) -> Watermark:
        """The watermark of the latest version."""
        return Watermark(
            column=self.column,
            value=checks.to_json_value(self.start and self.start.greatest),
            quarantined_from=checks.to_json_value(self.start and self.start.quarantined_from),
        )


class NewRows:
    """Removes what is not new from the rows of a load."""

    def __init__(self, load: Load, rows: selection.Selection) -> None:
        """Take the old and the loaded rows, in this order."""
        self._load = load
        self._rows = rows
        # The texts that a database has compared are in its own order, which nobody else knows.
        self._is_ordered = load.database is not None and rows.column_type(load.column) == "string"
        self.notes: list[str] = []

    @property
    def read_rows(self) -> int:
        """How many rows were read, those included that the database left out."""
        return self._load.counts.read

    def drop_not_new(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Remove the rows that are below the start, have no value or are known; return how many were left out.

        Raises NothingNewError when no row remains.
        """
        load, rows, start = self._load, self._rows, self._load.start
        if start is None:
            return 0
        missing = rows.drop_missing(load.column, first=load.old_rows)
        below = 0 if self._is_ordered else rows.drop_below(load.column, start.value, first=load.old_rows)
        known = self._mark_known(connection, start)
        tied = 0 if self._is_ordered else rows.count_unknown(load.column, start.greatest, first=load.old_rows)
        self._note_missing(missing)
        self._note_tied(tied, start)
        self._note_late(below, start)
        if known == load.loaded_rows - missing - below:
            raise NothingNewError(load.watermark_before, notes=self.notes, counts=load.counts)
        # A version of new rows only must hold all rows of its greatest value and of a window, or those that it lacks
        # would seem new to the next load.
        is_kept = not load.old_rows and (start.is_window or tied > 0)
        return missing + below + (0 if is_kept else rows.drop_known()) + load.counts.read - load.loaded_rows

    def find_watermark(self) -> Watermark:
        """Find the watermark of the rows that remain, and the lowest value of those in quarantine."""
        load, rows = self._load, self._rows
        if self._is_ordered and load.database is not None and load.database.greatest is not None:
            # The rows were read in the database's order, so the first one in quarantine is the lowest.
            value, lowest = load.database.greatest, rows.find_first_quarantined(load.column, first=load.old_rows)
        else:
            value, lowest = rows.find_greatest(load.column), rows.find_lowest_quarantined(load.column)
            lowest = lowest if lowest is not None and value is not None and lowest < value else None
        return Watermark(
            column=load.column, value=checks.to_json_value(value), quarantined_from=checks.to_json_value(lowest)
        )

    def refuse_as_before(self, watermark: Watermark, *, notes: list[str], counts: Counts) -> None:
        """Raise NothingNewError when an append would only repeat the latest version and what is in quarantine."""
        load, rows, start = self._load, self._rows, self._load.start
        if start is None or not load.old_rows or rows.count() != load.old_rows or rows.count_from(load.old_rows):
            return
        before = (start.quarantined, load.watermark_before.quarantined_from)
        if (counts.quarantined, watermark.quarantined_from) in ((0, None), before):
            raise NothingNewError(load.watermark_before, notes=notes, counts=counts)

    def _mark_known(self, connection: duckdb.DuckDBPyConnection, start: Start) -> int:
        """Mark the loaded rows that the latest version has."""
        load = self._load
        columns = [] if load.latest is None else schema.list_common(load.latest, load.loaded)
        if load.latest is None or load.column not in {column.name for column in columns}:
            return known_rows.mark_none(connection)
        comparison = known_rows.Comparison(
            old=load.latest,
            new=load.loaded,
            columns=columns,
            watermark=load.column,
            start=None if self._is_ordered else start.value,
            first_row=load.old_rows,
        )
        return known_rows.mark(connection, comparison)

    def _note_missing(self, missing: int) -> None:
        missing += self._load.database.missing if self._load.database else 0
        if missing:
            self.notes.append(
                f"{missing:,} rows have no value in {self._load.column!r}, so it is unknown whether they are new; "
                "they were left out."
            )

    def _note_tied(self, tied: int, start: Start) -> None:
        if tied:
            advice = "" if self._load.has_key else " With a `key`, rows that have changed replace those before."
            self.notes.append(
                f"{tied:,} rows that are not above the watermark {checks.to_json_value(start.greatest)!r} were not in "
                f"the latest version; they are new.{advice}"
            )

    def _note_late(self, below: int, start: Start) -> None:
        """Note how many rows are below the start that the latest version doesn't have, by their numbers."""
        load, value = self._load, checks.to_json_value(start.value)
        counted = load.database.below if load.database else 0
        if counted is None:
            self.notes.append(f"The rows below {value!r} were not counted, since that took too long.")
        elif load.old_rows and not self._is_ordered:
            late = below + counted - self._rows.count_below(load.column, start.value, before=load.old_rows)
            if late > 0:
                self.notes.append(
                    f"Below {value!r} are {late:,} more rows than the latest version has there: they came late, or "
                    "were left out before. To read rows that come late, set a `lag`."
                )
