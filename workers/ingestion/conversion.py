"""Converts a column of text to its type, and counts what became missing on the way."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract, errors
from shared.ml import frames
from workers.ingestion import values

SHOWN_CHARACTERS = 60
EXPECTED: dict[contract.ColumnType, str] = {
    "integer": "a whole number from -2^63 to 2^63-1",
    "number": "a number such as 1.5 or -2e3, with a point before its decimals",
    "boolean": "true or false (or yes/no, t/f, y/n, 1/0)",
    "date": "a date such as 2026-11-21",
    "timestamp": "a time such as 2026-11-21T09:30:00Z, to the microsecond",
    "string": "text in UTF-8 (write other bytes as hex or base64 where they come from)",
}


class TextConversion:
    """One column on its way from text to its type."""

    def __init__(
        self, column: str, *, kind: contract.ColumnType, missing: pa.Array, place: Callable[[int], str]
    ) -> None:
        """Convert to `kind`; texts in `missing` become null."""
        self._column = column
        self._kind = kind
        self._missing = missing
        self._place = place
        self._finite = FiniteNumbers(column)
        self._without_offset = False

    def convert(self, texts: pa.Array, first_row: int) -> pa.Array:
        """Convert the next texts; BadDataError names the row and value that does not fit."""
        return self.convert_reading(values.find_missing(texts, missing=self._missing), first_row)

    def convert_reading(self, reading: values.Reading, first_row: int) -> pa.Array:
        """Convert the next texts, in which those that mean nothing are null already."""
        if self._kind == "string":
            return reading.raw
        trimmed = reading.trimmed
        try:
            known = reading.converted if reading.kind == self._kind else None
            converted = values.to_type(trimmed, self._kind) if known is None else known
        except pa.ArrowInvalid as error:
            position = values.first_misfit(trimmed, self._kind, strictly=False)
            raise misfit(
                trimmed[position].as_py(), column=self._column, kind=self._kind, place=self._place(first_row + position)
            ) from error
        if self._kind == "number":
            return self._finite.keep(converted, first_row)
        if self._kind == "timestamp" and not self._without_offset:
            self._without_offset = values.any_lacks_offset(trimmed)
        return converted

    def notes(self) -> list[str]:
        """Say what the conversion changed."""
        notes = self._finite.notes()
        if self._without_offset:
            notes.append(f"Column {self._column!r} holds times without an offset, which were read as UTC.")
        return notes


class FiniteNumbers:
    """Turns the infinite numbers of a column into missing ones, since no model can use them."""

    def __init__(self, column: str, *, were_floats: bool = False) -> None:
        """Start with none seen; `were_floats` tells that they are no more exact where they come from."""
        self._column = column
        self._were_floats = were_floats
        self._infinite = 0
        self._first_row = 0
        self._beyond_exact = False

    @property
    def is_rounded(self) -> bool:
        """Whether there were whole numbers that may not have been kept exactly."""
        return self._beyond_exact and not self._were_floats

    def keep(self, numbers: pa.Array, first_row: int) -> pa.Array:
        """Give the numbers with null for NaN and infinity."""
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
        """Say how many were infinite, and whether there were whole numbers too large to be kept exactly."""
        notes = []
        if self._infinite:
            notes.append(
                f"Column {self._column!r} holds {self._infinite:,} numbers that are infinite or beyond a 64-bit float "
                f"(first in row {self._first_row:,}); they were stored as missing."
            )
        if self._beyond_exact:
            remedy = "write them as whole numbers or text" if self._were_floats else "give the column the type 'string'"
            where = ", as they are floats where they come from" if self._were_floats else ""
            notes.append(
                f"Column {self._column!r} holds numbers beyond 2^53, of which only about 16 digits are kept{where}; "
                f"if they identify something, {remedy}."
            )
        return notes

    def _look_for_large(self, numbers: pa.Array) -> None:
        if not self._beyond_exact:
            extremes = pc.min_max(numbers)
            low, high = extremes["min"].as_py() or 0.0, extremes["max"].as_py() or 0.0
            self._beyond_exact = max(-low, high) >= values.EXACT_INTEGER


def misfit(value: object, *, column: str, kind: contract.ColumnType, place: str) -> errors.BadDataError:
    """Make the error for a value that does not fit its column's type."""
    shown = value[:SHOWN_CHARACTERS] if isinstance(value, str) else value
    return errors.BadDataError(
        f"{place}, column {column!r}: {shown!r} is no {kind}; it must be {EXPECTED[kind]}, or missing."
    )


def empty_column(kind: contract.ColumnType, *, rows: int) -> pa.Array:
    """Give a column in which every value is missing."""
    return pa.nulls(rows, frames.PHYSICAL_TYPES[kind])
