"""Finds the columns' names among the first records of a CSV file, below titles and above the rows."""

import collections
import dataclasses
from collections.abc import Sequence

from workers.ingestion.formats import value_forms

MAX_ABOVE = 50
MAX_RECORDS = 150
MAX_CELLS = 15_000
MOST = 0.9
MANY_COLUMNS = 3
MAX_NAME_CHARACTERS = 120


@dataclasses.dataclass(frozen=True)
class Header:
    """Where the names are."""

    position: int
    """The number of the record with the names, counted from 0."""
    descriptions: int = 0
    """How many records below it hold units or descriptions."""


def find_header(records: Sequence[list[str]]) -> Header:
    """Find the names among the first records; blank lines are empty records, and the first one is not blank."""
    table = _Table(records)
    position = table.find_below_titles()
    if position is not None:
        return Header(position, table.count_units(position))
    position = table.find_below_block()
    if position is not None:
        return Header(position, table.count_units(position))
    return table.find_last_misfit()


def find_width(records: Sequence[list[str]]) -> int:
    """Find the width of most records, where a wide one counts for more than a narrow one."""
    return _find_main([len(record) for record in records if record])


def _find_main(sizes: list[int]) -> int:
    """Find the size for which the sizes that reach it, times its cube, are the most."""
    counts = collections.Counter(sizes)
    reached, best, best_area = 0, 0, 0
    for size in sorted(counts, reverse=True):
        reached += counts[size]
        if reached * size**3 > best_area:
            best, best_area = size, reached * size**3
    return best


class _Table:
    """The first records of a file, and which of them are rows of a table."""

    def __init__(self, records: Sequence[list[str]]) -> None:
        self._width = find_width(records)
        self._records = records = records[: max(2, min(MAX_RECORDS, MAX_CELLS // max(1, self._width)))]
        self._filled = [sum(1 for text in record if text.strip()) for record in records]
        self._main = _find_main([filled for filled in self._filled if filled])
        self._values = [[value_forms.is_value(text) for text in record] for record in records]
        self._below = self._count_below()

    def _count_below(self) -> list[list[tuple[int, int]]]:
        """Count, for each record and column, the filled fields below it and those of them that are values."""
        counts = [(0, 0)] * max(map(len, self._records))
        below = []
        for record, values in zip(reversed(self._records), reversed(self._values), strict=True):
            below.append(counts)
            counts = counts.copy()
            for column, (text, is_value) in enumerate(zip(record, values, strict=True)):
                filled, are_values = counts[column]
                counts[column] = (filled + bool(text.strip()), are_values + is_value)
        return below[::-1]

    def find_below_titles(self) -> int | None:
        """Find names below records that have few fields, or another number of fields; None without such records."""
        narrow = True
        for position, record in enumerate(self._records[:MAX_ABOVE]):
            filled = self._filled[position]
            if filled * 2 > self._main and (len(record) == self._width or filled == self._main):
                break
            if filled > 1 or not (record and record[0].strip()):
                narrow = narrow and not record
        else:
            return None
        if position == 0 or not self._is_like_names(position):
            return None
        if not (self._records[0] and self._records[0][0].strip()):
            return None
        if any(not self._is_year_above_years(position, column) for column in self._find_contrast(position)):
            return position
        is_wider = self._main >= MANY_COLUMNS or all(len(record) < self._width for record in self._records[:position])
        return position if narrow and is_wider else None

    def find_below_block(self) -> int | None:
        """Find names below a blank line, when what stands above it is not of the same table."""
        for position in range(1, min(MAX_ABOVE, len(self._records))):
            if self._records[position - 1] or not self._records[position]:
                continue
            contrast = self._find_contrast(position)
            above = [row for row in range(1, position) if self._records[row]]
            # A year above years is no name.
            contrast = [column for column in contrast if not self._values[position][column]]
            is_apart = all(any(self._has_text(row, column) for column in contrast) for row in above)
            if contrast and is_apart and self._is_like_names(position):
                return position
        return None

    def find_last_misfit(self) -> Header:
        """Find names below full records of other contents, or else take the first record, with units below it."""
        rows = [position for position in range(len(self._records)) if self._records[position]]
        if units := self.count_units(0):
            return Header(0, units)
        for position in reversed(rows[1:MAX_ABOVE]):
            contrast = self._find_contrast(position)
            above = [row for row in range(1, position) if self._records[row]]
            contrast = [column for column in contrast if not self._values[position][column]]
            if len(contrast) > 1 and self._is_like_names(position) and self._are_misfits(above, contrast):
                if position == rows[1] and self._is_like_names(0):
                    break  # Two rows of names, or a row with unknown values: the columns' notes show it.
                return Header(position, self.count_units(position))
        return Header(0)

    def count_units(self, position: int) -> int:
        """Count the records below the names that hold units: one, or none."""
        below = position + 1
        if below + 1 >= len(self._records) or not self._is_like_names(position):
            return 0
        contrast = [column for column in self._find_contrast(below) if not self._values[below][column]]
        if not contrast or not self._are_misfits([below], contrast):
            return 0
        texts = [text for text in self._records[below] if text.strip()]
        return 1 if all(map(value_forms.is_unit, texts)) else 0

    def _is_like_names(self, position: int) -> bool:
        """Check whether a record may hold the names: different texts of a moderate length, not numbers or dates."""
        texts = [text.strip() for text in self._records[position] if text.strip()]
        return (
            len(set(texts)) == len(texts) > 0
            and all(value_forms.is_name(text) and len(text) <= MAX_NAME_CHARACTERS for text in texts)
            and not any(text.startswith("{") or text.endswith(":") for text in texts)
            and not all(value_forms.is_value(text) for text in texts)
        )

    def _find_contrast(self, position: int) -> list[int]:
        """Find the columns in which a record has a text, but nearly all that follow have numbers or dates."""
        columns = []
        for column, name in enumerate(self._records[position]):
            filled, values = self._below[position][column]
            if filled and values >= MOST * filled and value_forms.is_name(name):
                columns.append(column)
        return columns

    def _is_year_above_years(self, position: int, column: int) -> bool:
        texts = [record[column] for record in self._records[position:] if column < len(record)]
        return all(value_forms.YEAR.fullmatch(text.strip()) for text in texts[:2])

    def _are_misfits(self, rows: list[int], columns: list[int]) -> bool:
        """Check whether these records have texts in all of these columns."""
        return all(all(self._has_text(row, column) for column in columns) for row in rows)

    def _has_text(self, row: int, column: int) -> bool:
        record = self._records[row]
        return column < len(record) and bool(record[column].strip()) and not self._values[row][column]
