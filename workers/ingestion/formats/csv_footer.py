"""Holds back what may be a footer, until the end of the file shows whether it is one."""

import collections
import decimal
from collections.abc import Iterator

from workers.ingestion.formats import csv_notes, csv_tail, value_forms

MAX_HELD = 30
# A single blank row at the end may be one of missing values; spreadsheets leave several.
BLANK_ROWS = 2

Record = tuple[int, list[str]]


class Footer:
    """Tells rows from the totals, sources and notes below them."""

    def __init__(self, width: int, *, skip: int | None, has_total: bool) -> None:
        """Expect rows of `width` fields; `skip` is how many rows to leave out at the end, None to find that out."""
        self._width = width
        self._skip = skip
        self._texts: list[str] = []
        self._unsure: list[str] = []
        self._rows = self._sparse_rows = 0
        self._has_sentences = False
        self._sums = [_Sum() for _ in range(width if has_total else 0)]

    def notes(self) -> list[str]:
        """Describe the rows that were left out as a footer, and a last row that may be a total."""
        if self._skip is not None:
            return [f"Rows at the end were left out, as `skip_footer` says ({self._skip:,})."] if self._skip else []
        return [
            *csv_notes.describe_footer(self._texts),
            *(
                f"The last row reads like a total, {text!r}, and was kept, because it is not the sum of the rows above "
                "it; set `skip_footer` to 1 to leave it out."
                for text in self._unsure
            ),
        ]

    def hold(self, records: Iterator[Record]) -> Iterator[Record]:
        """Iterate over the records without those of the footer; blank lines are left out."""
        if self._skip is not None:
            yield from self._hold_last((record for record in records if record[1]), count=self._skip)
            return
        held: collections.deque[Record] = collections.deque()
        for line, record in records:
            if self._may_be_footer(record):
                held.append((line, record))
                if len(held) > MAX_HELD:
                    yield from self._release(held, count=1)
                continue
            yield from self._release(held, count=len(held))
            self._look_at(record)
            yield line, record
        yield from self._judge(list(held))

    def _hold_last(self, records: Iterator[Record], *, count: int) -> Iterator[Record]:
        held: collections.deque[Record] = collections.deque()
        for record in records:
            held.append(record)
            if len(held) > count:
                yield held.popleft()

    def _may_be_footer(self, record: list[str]) -> bool:
        filled = sum(1 for text in record if text.strip())
        return self._width > 1 and (
            len(record) != self._width or (filled < 2 and filled < self._width) or csv_tail.is_suspicious(record)
        )

    def _release(self, held: "collections.deque[Record]", *, count: int) -> Iterator[Record]:
        """Take held records for rows, since others follow."""
        for _ in range(count):
            line, record = held.popleft()
            if record:
                self._sparse_rows += len(record) == self._width
                self._look_at(record)
                yield line, record

    def _look_at(self, record: list[str]) -> None:
        self._rows += 1
        self._has_sentences = self._has_sentences or value_forms.is_sentence(record[0])
        for column_sum, text in zip(self._sums, record, strict=False):
            column_sum.add(text)

    def _judge(self, held: list[Record]) -> Iterator[Record]:
        """Iterate over the last records that are rows; from the first remark on, all are a footer."""
        is_footer, after_blank = False, False
        blank: list[Record] = []
        for line, record in held:
            filled = [text.strip() for text in record if text.strip()]
            if not filled:
                after_blank = True
                blank += [(line, record)] if record else []
                continue
            is_footer = is_footer or self._is_footer(record, filled, after_blank=after_blank)
            if is_footer:
                self._texts.append(" ".join(filled))
                continue
            yield from blank
            blank.clear()
            if value_forms.is_total(filled[0]):
                self._unsure.append(" ".join(filled)[: csv_notes.SHOWN_CHARACTERS])
            yield line, record
        if is_footer or len(blank) >= BLANK_ROWS:
            self._texts += [",".join(record) for _, record in blank]
        else:
            yield from blank

    def _is_footer(self, record: list[str], filled: list[str], *, after_blank: bool) -> bool:
        """Check whether a record of the file's end is no row: a total, a source or a note."""
        if not self._rows:
            return False
        first, is_short = filled[0], len(record) < self._width
        if value_forms.is_total(first):
            return is_short or self._is_sum(record)
        if len(filled) > 1 and not is_short:
            return len(record) > self._width and value_forms.is_remark(first)
        if not is_short and not record[0].strip():
            return False
        if value_forms.is_remark(first):
            return is_short or not self._sparse_rows
        if value_forms.is_sentence(first) and not self._has_sentences:
            return is_short or not self._sparse_rows
        return is_short and after_blank and not value_forms.is_value(first)

    def _is_sum(self, record: list[str]) -> bool:
        """Check whether the numbers of a row, at least one, are the sums of their columns."""
        pairs = zip(self._sums, record, strict=False)
        numbers = [column_sum.equals(text) for column_sum, text in pairs if value_forms.is_number(text)]
        return bool(numbers) and all(numbers)


class _Sum:
    """The sum of a column's numbers, once with a point and once with a comma before their decimals."""

    def __init__(self) -> None:
        self._sums = {".": decimal.Decimal(), ",": decimal.Decimal()}

    def add(self, text: str) -> None:
        if value_forms.is_number(text):
            for point in self._sums:
                if (number := value_forms.to_decimal(text, point=point)) is not None:
                    self._sums[point] += number

    def equals(self, text: str) -> bool:
        """Check whether a text is the sum, in one of the two forms."""
        return any(value_forms.to_decimal(text, point=point) == total for point, total in self._sums.items())
