"""Converts a column of text to its type, and counts the numbers that become missing."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract, errors
from workers.ingestion import decimals, time_limits, values
from workers.ingestion.styles import style
from workers.ingestion.styles.style import Style

SHOWN_CHARACTERS = 60
EXPONENT = r"^[+-]?[0-9]\.?[0-9]*[eE]\+?[0-9]+$"
# Spreadsheets write whole numbers from this one on with an exponent.
LONG_NUMBER = 1e11
EXPECTED_FORMS: dict[contract.ColumnType, str] = {
    "integer": "a whole number from -2^63 to 2^63-1",
    "number": "a number such as 1.5 or -2e3, with a point before its decimals",
    "boolean": "true or false (or yes/no, t/f, y/n, 1/0)",
    "date": "a date such as 2026-11-21",
    "timestamp": "a time such as 2026-11-21T09:30:00Z",
    "string": "text in UTF-8 (write other bytes as hex or base64 in the source)",
}


class TextConversion:
    """Converts one column, batch by batch, from text to its type."""

    def __init__(
        self,
        column: str,
        *,
        column_type: contract.ColumnType,
        missing: pa.Array,
        locate_row: Callable[[int], str],
        column_style: Style | None = None,
    ) -> None:
        """Convert to `column_type` texts that are written in a style; those in `missing` become null."""
        self._style = column_style
        self._rewritten = 0
        self._example = ("", "")
        self._cut_off = CutOffNumbers(column)
        self._column = column
        self._column_type = column_type
        self._missing = missing
        self._locate_row = locate_row
        self._finite = FiniteNumbers(column)
        self._without_offset = False
        self._finer = 0
        self._rounded = 0

    def convert(self, texts: pa.Array, first_row: int) -> pa.Array:
        """Convert the next texts; BadDataError names the row and value that does not fit."""
        chunk = values.find_missing(texts, missing=self._missing)
        return self.convert_chunk(style.apply(self._style, chunk), first_row)

    def convert_chunk(self, chunk: values.TextChunk, first_row: int) -> pa.Array:
        """Convert the next texts, in which missing values are already null."""
        if self._column_type == "string":
            return chunk.raw
        trimmed = chunk.trimmed
        if chunk.rewritten:
            self._example = self._example if self._rewritten else chunk.example
            self._rewritten += chunk.rewritten
        try:
            converted = chunk.converted if chunk.column_type == self._column_type else None
            if converted is None:
                converted = values.to_type(trimmed, self._column_type)
        except pa.ArrowInvalid as error:
            position = values.find_mismatch(trimmed, self._column_type, strictly=False)
            raise mismatch_error(
                chunk.raw[position].as_py().strip(),
                column=self._column,
                column_type=self._column_type,
                place=self._locate_row(first_row + position),
            ) from error
        if self._column_type == "number":
            self._cut_off.count(trimmed, converted)
            self._rounded += values.count_rounded(trimmed, converted)
            return self._finite.drop_infinite(converted, first_row)
        if self._column_type == "timestamp":
            self._finer += values.count_finer(trimmed)
            self._without_offset = self._without_offset or values.any_lacks_offset(trimmed)
        return converted

    def notes(self) -> list[str]:
        """Describe what the conversion changed."""
        notes = [*self._finite.notes(), *self._cut_off.notes()]
        if self._style is not None and self._rewritten:
            notes.append(self._style.describe(self._column, count=self._rewritten, example=self._example))
        if self._without_offset:
            notes.append(f"Column {self._column!r} holds times without an offset, which were read as UTC.")
        if self._rounded:
            notes.append(decimals.describe_rounded(self._column, self._rounded, numbers="numbers"))
        if self._finer:
            notes.append(time_limits.describe_finer(self._column, self._finer))
        return notes


class CutOffNumbers:
    """Counts the numbers of a column of which a spreadsheet kept only the first digits, such as 1.79E+18."""

    def __init__(self, column: str) -> None:
        """Start with no numbers."""
        self._column = column
        self._count = 0
        self._example = ""

    def count(self, texts: pa.Array, numbers: pa.Array) -> None:
        """Count the numbers of 12 digits and more among these that are written with an exponent."""
        if max(pc.max(numbers).as_py() or 0, -(pc.min(numbers).as_py() or 0)) < LONG_NUMBER or not values.has_exponent(
            texts
        ):
            return
        is_long = pc.and_(pc.match_substring_regex(texts, EXPONENT), pc.greater_equal(pc.abs(numbers), LONG_NUMBER))
        if count := pc.sum(is_long).as_py():
            self._example = self._example or texts[pc.index(is_long, value=True).as_py()].as_py()
            self._count += count

    def notes(self) -> list[str]:
        """Describe how many numbers were cut off before they were written."""
        if not self._count:
            return []
        found = f"Column {self._column!r} holds long numbers in scientific form ({self._count:,}), such as "
        found += repr(self._example)
        lost = "as spreadsheets write them: their last digits are not in the data"
        return [f"{found}, {lost}. If they identify something, export the column as text."]


class FiniteNumbers:
    """Replaces the infinite numbers of a column with missing values, since no model can use them."""

    def __init__(self, column: str, *, were_floats: bool = False) -> None:
        """Start with no numbers; with `were_floats`, they are floats in the source too, and no more exact there."""
        self._column = column
        self._were_floats = were_floats
        self._infinite = 0
        self._first_row = 0
        self._beyond_exact = 0

    @property
    def is_rounded(self) -> bool:
        """Whether the column had whole numbers that may have been rounded."""
        return bool(self._beyond_exact) and not self._were_floats

    def drop_infinite(self, numbers: pa.Array, first_row: int) -> pa.Array:
        """Replace NaN and infinity with null."""
        finite = pc.is_finite(numbers)
        if pc.all(finite).as_py() is not False:
            self._look_for_large(numbers)
            return numbers
        infinite = pc.fill_null(pc.is_inf(numbers), fill_value=False)
        if count := pc.sum(infinite).as_py() or 0:
            self._first_row = self._first_row or first_row + pc.index(infinite, value=True).as_py()
            self._infinite += count
        numbers = pc.if_else(finite, numbers, pa.scalar(None, pa.float64()))
        self._look_for_large(numbers)
        return numbers

    def notes(self) -> list[str]:
        """Describe how many numbers were infinite, and whether whole numbers were too large to be kept exactly."""
        notes = []
        if self._infinite:
            notes.append(
                f"Column {self._column!r} holds {self._infinite:,} numbers that are infinite or beyond a 64-bit float "
                f"(first in row {self._first_row:,}); they were stored as missing."
            )
        if self._beyond_exact:
            remedy = "write them as whole numbers or text" if self._were_floats else "give the column the type 'string'"
            reason = ", since they are floats in the source" if self._were_floats else ""
            notes.append(
                f"Column {self._column!r} holds {self._beyond_exact:,} numbers beyond 2^53, of which only about 16 "
                f"digits are kept{reason}; if they identify something, {remedy}."
            )
        return notes

    def _look_for_large(self, numbers: pa.Array) -> None:
        extremes = pc.min_max(numbers)
        low, high = extremes["min"].as_py() or 0.0, extremes["max"].as_py() or 0.0
        if max(-low, high) >= values.EXACT_INTEGER:
            self._beyond_exact += pc.sum(pc.greater_equal(pc.abs(numbers), float(values.EXACT_INTEGER))).as_py()


def mismatch_error(value: object, *, column: str, column_type: contract.ColumnType, place: str) -> errors.BadDataError:
    """Build the error for a value that does not fit its column's type."""
    shown = value[:SHOWN_CHARACTERS] if isinstance(value, str) else value
    return errors.BadDataError(
        f"{place}, column {column!r}: {shown!r} is not a valid {column_type}; "
        f"it must be {EXPECTED_FORMS[column_type]}, or missing."
    )
