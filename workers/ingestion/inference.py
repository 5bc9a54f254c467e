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
from workers.ingestion.text_table import CandidateTypes, TextTable

# Numbers in forms that Arrow does not read: with a decimal comma, thousands separators or a typographic minus.
OTHER_NUMBER_LIKE = (
    r"^[+\x{2212}-]?(0|[1-9][0-9]*|[1-9][0-9]{0,2}([ .,'\x{2019}\x{a0}\x{202f}][0-9]{3})+)([.,][0-9]+)?$"
)
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
            ColumnInference(name, candidates=candidates, override=overrides.get(name), limits=limits)
            for name, candidates in zip(table.names, table.candidates, strict=True)
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

    def update(self, batch: pa.RecordBatch) -> list[values.TextChunk]:
        """Process the next rows, and return each column's texts as they were read; LimitExceededError beyond limits."""
        self._limits.check_shape(self.rows + batch.num_rows, columns=len(self._columns))
        first_row = self.rows + 1
        self.rows += batch.num_rows
        return self._columnwise.map(self._update_column, self._columns, batch.columns, itertools.repeat(first_row))

    def _update_column(self, column: "ColumnInference", texts: pa.Array, first_row: int) -> values.TextChunk:
        chunk = values.find_missing(texts, missing=self._missing)
        column.count_missing(texts, chunk)
        return column.update(chunk, first_row)


class ColumnInference:
    """The strictest type that fits all values of a column so far."""

    def __init__(
        self,
        name: str,
        *,
        candidates: CandidateTypes,
        override: contract.ColumnType | None,
        limits: Limits,
    ) -> None:
        """Start with no values; a column whose type is overridden is only checked against the limits."""
        self._name = name
        self._candidates = candidates
        self._limits = limits
        self._type: contract.ColumnType | None = override
        self._is_overridden = override is not None
        self._beyond_exact = False
        self._reason = ""
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
                f"{self._name!r} ({self._missing_with_spaces:,})."
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
            self._widen(trimmed, first_row)
            converted = values.convert_strictly(trimmed, self.type)
        if self._type == "integer" and not self._beyond_exact:
            extremes = pc.min_max(converted)
            self._beyond_exact = max(-extremes["min"].as_py(), extremes["max"].as_py()) >= values.EXACT_INTEGER
        return dataclasses.replace(chunk, converted=converted, column_type=self.type)

    def _check_lengths(self, texts: pa.Array, first_row: int) -> None:
        offsets = values.text_offsets(texts)
        if offsets[-1] - offsets[0] <= self._limits.field_bytes:
            return  # All of them together are no longer than one may be.
        lengths = pc.binary_length(texts)
        longest = pc.max(lengths).as_py() or 0
        if longest > self._limits.field_bytes:
            row = first_row + pc.index(lengths, longest).as_py()
            self._limits.check_field(longest, column=self._name, row=row)

    def _widen(self, trimmed: pa.Array, first_row: int) -> None:
        before = self._type
        fitting: contract.ColumnType = next(
            (column_type for column_type in self._candidates if values.fits(trimmed, column_type)), "string"
        )
        self._type = self._join_types(before, fitting)
        if self._type == "string" and self._candidates:
            self._reason = self._explain(trimmed, before=before, first_row=first_row)

    def _join_types(self, before: contract.ColumnType | None, fitting: contract.ColumnType) -> contract.ColumnType:
        """Choose the type that holds the values of both without loss."""
        if before is None or before == fitting:
            return fitting
        if {before, fitting} == {"integer", "number"} and not self._beyond_exact:
            return "number"
        if {before, fitting} == {"date", "timestamp"}:
            return "timestamp"
        return "string"

    def _explain(self, trimmed: pa.Array, *, before: contract.ColumnType | None, first_row: int) -> str:
        """Name the value that made a column text which looked like another type."""
        if before is not None:
            position = values.find_mismatch(trimmed, before, strictly=True)
            reason = f"which is not a valid {before} like the values before it, or would lose digits or signs as one"
        else:
            like_number = pc.fill_null(pc.match_substring_regex(trimmed, NUMBER_LIKE), fill_value=True)
            if pc.mean(like_number).as_py() < MOST_FRACTION:
                return self._explain_number_style(trimmed.drop_null()[:EXPLAINED_ROWS])
            if values.fits(trimmed.filter(like_number), "number"):
                position = pc.index(like_number, value=False).as_py()
                reason = "which is not a number like the other values"
            else:
                position = values.find_mismatch(trimmed, "number", strictly=True)
                reason = "which would lose digits or a sign as a number"
        value = trimmed[position].as_py()[:SHOWN_CHARACTERS]
        return (
            f"Column {self._name!r} is stored as text: row {first_row + position:,} holds {value!r}, {reason}. "
            "Set its type in `types` to force another."
        )

    def _explain_number_style(self, texts: pa.Array) -> str:
        """Explain which style of numbers most of these texts have, if it is one that is not read as numbers."""
        if pc.mean(pc.match_substring_regex(texts, OTHER_NUMBER_LIKE)).as_py() < MOST_FRACTION:
            return ""
        position = pc.index(pc.match_substring_regex(texts, NUMBER_LIKE), value=False).as_py()
        return (
            f"Column {self._name!r} is stored as text: most of its values look like numbers written like "
            f"{texts[position].as_py()[:SHOWN_CHARACTERS]!r}. A number must have a point before its decimals, "
            "no separator between thousands, and '-' as its sign."
        )
