"""Infers the type of every column from all of its values, never from a sample.

docs/decisions/ingestion.md, "CSV is read as text, then typed"
"""

import dataclasses
import itertools

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract
from workers.ingestion import column_threads, values
from workers.ingestion.limits import Limits
from workers.ingestion.styles import numbers, style
from workers.ingestion.styles.style import Style
from workers.ingestion.text_table import CandidateTypes, TextTable
from workers.tabular import text_buffers

DATE_LIKE = r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
EXPLAINED_ROWS = 1000
NUMBER_LIKE = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
MOST_FRACTION = 0.9
SHOWN_CHARACTERS = 40


class Inference:
    """The types of a table of text, inferred while its rows are read."""

    def __init__(
        self,
        table: TextTable,
        *,
        overrides: dict[str, contract.ColumnType],
        limits: Limits,
        columnwise: column_threads.ColumnThreads,
    ) -> None:
        """Start with no rows; columns in `overrides` have these types."""
        self.rows = 0
        self._columns = [
            ColumnInference(
                name,
                candidates=candidates,
                override=overrides.get(name),
                column_style=table.style(position),
                limits=limits,
            )
            for position, (name, candidates) in enumerate(zip(table.names, table.candidates, strict=True))
        ]
        self._limits = limits
        self._missing = pa.array(table.missing, pa.string())
        self._columnwise = columnwise

    @property
    def types(self) -> list[contract.ColumnType]:
        """Each column's type, which fits all rows so far."""
        return [column.type for column in self._columns]

    @property
    def notes(self) -> list[str]:
        """The notes on all columns."""
        return [note for column in self._columns for note in column.notes()]

    @property
    def surprises(self) -> dict[str, str]:
        """Numbers in another style than those before them, by column, which made the column text."""
        return {column.name: column.surprise for column in self._columns if column.surprise}

    def update(self, batch: pa.RecordBatch) -> list[values.TextChunk]:
        """Process the next rows, and return each column's texts as they were read; LimitExceededError beyond limits."""
        self._limits.check_shape(self.rows + batch.num_rows, columns=len(self._columns))
        first_row = self.rows + 1
        self.rows += batch.num_rows
        return self._columnwise.map(self._update_column, self._columns, batch.columns, itertools.repeat(first_row))

    def _update_column(self, column: "ColumnInference", texts: pa.Array, first_row: int) -> values.TextChunk:
        chunk = values.find_missing(texts, missing=self._missing)
        column.count_missing(texts, chunk)
        return column.update(style.apply(column.style, chunk), first_row)


class ColumnInference:
    """The strictest type that fits all values of a column so far."""

    def __init__(
        self,
        name: str,
        *,
        candidates: CandidateTypes,
        override: contract.ColumnType | None,
        column_style: Style | None = None,
        limits: Limits,
    ) -> None:
        """Start with no values; a column whose type is overridden is only checked against the limits."""
        self.name = name
        self._candidates = candidates
        self.style = column_style
        self._limits = limits
        self._type: contract.ColumnType | None = override
        self._is_overridden = override is not None
        self._beyond_exact = False
        self._reason = ""
        self.surprise = ""
        self._missing_with_spaces = 0

    @property
    def type(self) -> contract.ColumnType:
        """The inferred type; a column without values is a string."""
        return self._type or "string"

    def notes(self) -> list[str]:
        """Explain the type, where it may surprise, and count what was read as missing with spaces around it."""
        notes = [self._reason] if self._reason else []
        if self._missing_with_spaces:
            notes.append(
                "Texts in `null_values`, with spaces around them, were read as missing: "
                f"{self.name!r} ({self._missing_with_spaces:,})."
            )
        return notes

    def count_missing(self, texts: pa.Array, chunk: values.TextChunk) -> None:
        """Count the texts that mean a missing value once their spaces are removed, without those of spaces only."""
        if chunk.raw.null_count > texts.null_count:
            trimmed = pc.ascii_trim_whitespace(texts.filter(pc.and_(chunk.raw.is_null(), texts.is_valid())))
            self._missing_with_spaces += pc.sum(pc.not_equal(trimmed, "")).as_py()

    def update(self, chunk: values.TextChunk, first_row: int) -> values.TextChunk:
        """Process the next values, and return them as they were read; LimitExceededError when one is too long."""
        texts, trimmed = chunk.raw, chunk.trimmed
        self._check_lengths(texts, first_row)
        if self._is_overridden or self._type == "string":
            return chunk
        if trimmed.null_count == len(trimmed):
            return chunk
        converted = None if self._type is None else values.convert_strictly(trimmed, self._type)
        if converted is None:
            self._widen(chunk, first_row)
            converted = values.convert_strictly(trimmed, self.type)
        if self._type == "integer" and not self._beyond_exact:
            extremes = pc.min_max(converted)
            self._beyond_exact = max(-extremes["min"].as_py(), extremes["max"].as_py()) >= values.EXACT_INTEGER
        return dataclasses.replace(chunk, converted=converted, column_type=self.type)

    def _check_lengths(self, texts: pa.Array, first_row: int) -> None:
        offsets = text_buffers.text_offsets(texts)
        if offsets[-1] - offsets[0] <= self._limits.field_bytes:
            return  # All of them together are no longer than one may be.
        lengths = pc.binary_length(texts)
        longest = pc.max(lengths).as_py() or 0
        if longest > self._limits.field_bytes:
            row = first_row + pc.index(lengths, longest).as_py()
            self._limits.check_field(longest, column=self.name, row=row)

    def _widen(self, chunk: values.TextChunk, first_row: int) -> None:
        before, trimmed = self._type, chunk.trimmed
        fitting: contract.ColumnType = next(
            (column_type for column_type in self._candidates if values.fits(trimmed, column_type)), "string"
        )
        self._type = self._join_types(before, fitting)
        if self._type == "string":
            self.surprise = self._find_surprise(chunk, before)
        if self._type == "string" and self._candidates:
            self._reason = self._explain(chunk, before=before, first_row=first_row)

    def _find_surprise(self, chunk: values.TextChunk, before: contract.ColumnType | None) -> str:
        """Find the text that does not fit the numbers around it, if it is a number in another style; else ''."""
        if before in ("integer", "number"):
            position = values.find_mismatch(chunk.trimmed, before, strictly=True)
        elif before is None and self._candidates:
            is_plain = pc.fill_null(pc.match_substring_regex(chunk.trimmed, NUMBER_LIKE), fill_value=True)
            position = pc.index(is_plain, value=False).as_py()
            if position < 0 or pc.mean(is_plain).as_py() < MOST_FRACTION:
                return ""
        else:
            return ""
        texts = pc.ascii_trim_whitespace(chunk.raw.slice(position, 1))
        is_number, is_plain = (
            pc.match_substring_regex(texts, pattern)[0].as_py() for pattern in (numbers.ANY_NUMBER, NUMBER_LIKE)
        )
        return str(texts[0].as_py()) if is_number and not is_plain else ""

    def _join_types(self, before: contract.ColumnType | None, fitting: contract.ColumnType) -> contract.ColumnType:
        """Choose the type that holds the values of both without loss."""
        if before is None or before == fitting:
            return fitting
        if {before, fitting} == {"integer", "number"} and not self._beyond_exact:
            return "number"
        if {before, fitting} == {"date", "timestamp"}:
            return "timestamp"
        return "string"

    def _explain(self, chunk: values.TextChunk, *, before: contract.ColumnType | None, first_row: int) -> str:
        """Name the value that made a column text which looked like another type."""
        trimmed = chunk.trimmed
        if before is not None:
            position = values.find_mismatch(trimmed, before, strictly=True)
            reason = f"which is not a valid {before} like the values before it, or would lose digits or signs as one"
        else:
            like_number = pc.fill_null(pc.match_substring_regex(trimmed, NUMBER_LIKE), fill_value=True)
            if pc.mean(like_number).as_py() < MOST_FRACTION:
                return self._explain_dates(chunk, first_row) or self._explain_number_style(chunk)
            if values.fits(trimmed.filter(like_number), "number"):
                position = pc.index(like_number, value=False).as_py()
                reason = "which is not a number like the other values"
            else:
                position = values.find_mismatch(trimmed, "number", strictly=True)
                reason = "which would lose digits or a sign as a number"
        return self._explain_value(chunk, position, first_row=first_row, reason=reason)

    def _explain_value(self, chunk: values.TextChunk, position: int, *, first_row: int, reason: str) -> str:
        value = chunk.raw[position].as_py().strip()[:SHOWN_CHARACTERS]
        return (
            f"Column {self.name!r} is stored as text: row {first_row + position:,} holds {value!r}, {reason}. "
            "Set its type in `types` to force another."
        )

    def _explain_dates(self, chunk: values.TextChunk, first_row: int) -> str:
        """Name the value that is no date, if most of the values look like dates."""
        like_date = pc.match_substring_regex(chunk.trimmed.drop_null()[:EXPLAINED_ROWS], DATE_LIKE)
        if pc.mean(like_date).as_py() < MOST_FRACTION:
            return ""
        position = values.find_mismatch(chunk.trimmed, "timestamp", strictly=True)
        reason = "which is not a date or a time like the other values"
        return self._explain_value(chunk, position, first_row=first_row, reason=reason)

    def _explain_number_style(self, chunk: values.TextChunk) -> str:
        """Explain which style of numbers most of these texts have, if it is one that is not read as numbers."""
        texts = pc.ascii_trim_whitespace(chunk.raw.drop_null()[:EXPLAINED_ROWS])
        if pc.mean(pc.match_substring_regex(texts, numbers.ANY_NUMBER)).as_py() < MOST_FRACTION:
            return ""
        is_plain = pc.match_substring_regex(texts, NUMBER_LIKE)
        position = max(0, pc.index(is_plain, value=False).as_py())
        return (
            f"Column {self.name!r} is stored as text: most of its values look like numbers written like "
            f"{texts[position].as_py()[:SHOWN_CHARACTERS]!r}, but not all in one way. Set `decimal` or `thousands` if "
            "they are numbers."
        )
