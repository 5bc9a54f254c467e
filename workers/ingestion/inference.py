"""Finds the type of every column from all of its values, never from a sample."""

import dataclasses
import itertools

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract
from workers.ingestion import column_threads, values
from workers.ingestion.limits import Limits
from workers.ingestion.text_table import FromText, Texts

# Numbers of which Arrow reads none: with a comma, with thousands apart, with the minus of typesetters.
OTHERWISE_NUMBER_LIKE = (
    r"^[+\x{2212}-]?(0|[1-9][0-9]*|[1-9][0-9]{0,2}([ .,'\x{2019}\x{a0}\x{202f}][0-9]{3})+)([.,][0-9]+)?$"
)
LOOKED_AT_ROWS = 1000
NUMBER_LIKE = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
MOSTLY = 0.9
SHOWN_CHARACTERS = 40


class Inference:
    """What is found about a table of text, the further its rows are read."""

    def __init__(
        self,
        texts: Texts,
        *,
        overrides: dict[str, contract.ColumnType],
        limits: Limits,
        shared_out: column_threads.Shares,
    ) -> None:
        """Start with no row seen; columns in `overrides` have their types given."""
        self.rows = 0
        self._columns = [
            ColumnInference(name, candidates=candidates, given=overrides.get(name), limits=limits)
            for name, candidates in zip(texts.names, texts.candidates, strict=True)
        ]
        self._limits = limits
        self._missing = pa.array(texts.missing, pa.string())
        self._shared_out = shared_out

    @property
    def types(self) -> list[contract.ColumnType]:
        """Each column's type, which fits all rows that were seen."""
        return [column.type for column in self._columns]

    @property
    def notes(self) -> list[str]:
        """The reason of each type that needs one."""
        return [note for column in self._columns for note in column.notes()]

    def take(self, batch: pa.RecordBatch) -> list[values.Reading]:
        """Take the next rows in, and give each column's texts as they were read; LimitExceededError beyond limits."""
        self._limits.check_shape(self.rows + batch.num_rows, columns=len(self._columns))
        first_row = self.rows + 1
        self.rows += batch.num_rows
        return self._shared_out.map(self._take_column, self._columns, batch.columns, itertools.repeat(first_row))

    def _take_column(self, column: "ColumnInference", texts: pa.Array, first_row: int) -> values.Reading:
        reading = values.find_missing(texts, missing=self._missing)
        column.count_missing(texts, reading)
        return column.update(reading, first_row)


class ColumnInference:
    """The strictest type that fits all values of a column seen so far."""

    def __init__(
        self,
        name: str,
        *,
        candidates: FromText,
        given: contract.ColumnType | None,
        limits: Limits,
    ) -> None:
        """Start with no value seen; a column whose type is given is only checked against the limits."""
        self._name = name
        self._candidates = candidates
        self._limits = limits
        self._type: contract.ColumnType | None = given
        self._settled = given is not None
        self._beyond_exact = False
        self._reason = ""
        self._padded_missing = 0

    @property
    def type(self) -> contract.ColumnType:
        """The type found; a column without any value is a string."""
        return self._type or "string"

    def notes(self) -> list[str]:
        """Give the reason of the type, if it needs one, and what was read as missing with spaces around it."""
        found = [self._reason] if self._reason else []
        if self._padded_missing:
            found.append(
                "Texts that `null_values` names, with spaces around them, were read as missing: "
                f"{self._name!r} ({self._padded_missing:,})."
            )
        return found

    def count_missing(self, texts: pa.Array, reading: values.Reading) -> None:
        """Count the texts that mean nothing once their spaces are cut off, those that are only spaces left out."""
        if reading.raw.null_count > texts.null_count:
            cut = pc.ascii_trim_whitespace(texts.filter(pc.and_(reading.raw.is_null(), texts.is_valid())))
            self._padded_missing += pc.sum(pc.not_equal(cut, "")).as_py()

    def update(self, reading: values.Reading, first_row: int) -> values.Reading:
        """Take the next values in, and give them as they were read; LimitExceededError when one is too long."""
        texts, trimmed = reading.raw, reading.trimmed
        self._check_lengths(texts, first_row)
        if self._settled or self._type == "string":
            return reading
        if trimmed.null_count == len(trimmed):
            return reading
        read = None if self._type is None else values.read_strictly(trimmed, self._type)
        if read is None:
            self._widen(trimmed, first_row)
            read = values.read_strictly(trimmed, self.type)
        if self._type == "integer" and not self._beyond_exact:
            extremes = pc.min_max(read)
            self._beyond_exact = max(-extremes["min"].as_py(), extremes["max"].as_py()) >= values.EXACT_INTEGER
        return dataclasses.replace(reading, converted=read, kind=self.type)

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
        found: contract.ColumnType = next((kind for kind in self._candidates if values.fits(trimmed, kind)), "string")
        self._type = self._join(before, found)
        if self._type == "string" and self._candidates:
            self._reason = self._explain(trimmed, before=before, first_row=first_row)

    def _join(self, before: contract.ColumnType | None, found: contract.ColumnType) -> contract.ColumnType:
        """Give the type that holds the values of both without loss."""
        if before is None or before == found:
            return found
        if {before, found} == {"integer", "number"} and not self._beyond_exact:
            return "number"
        if {before, found} == {"date", "timestamp"}:
            return "timestamp"
        return "string"

    def _explain(self, trimmed: pa.Array, *, before: contract.ColumnType | None, first_row: int) -> str:
        """Say which value made a string of a column that looked like something else."""
        if before is not None:
            position = values.first_misfit(trimmed, before, strictly=True)
            why = f"which is no {before} like the values before it, or would lose something as one"
        else:
            like_number = pc.fill_null(pc.match_substring_regex(trimmed, NUMBER_LIKE), fill_value=True)
            if pc.mean(like_number).as_py() < MOSTLY:
                return self._explain_otherwise(trimmed.drop_null()[:LOOKED_AT_ROWS])
            if values.fits(trimmed.filter(like_number), "number"):
                position = pc.index(like_number, value=False).as_py()
                why = "which is no number like the other values"
            else:
                position = values.first_misfit(trimmed, "number", strictly=True)
                why = "which would lose something as a number"
        value = trimmed[position].as_py()[:SHOWN_CHARACTERS]
        return (
            f"Column {self._name!r} is stored as text: row {first_row + position:,} holds {value!r}, {why}. "
            "Give its type in `types` to force another."
        )

    def _explain_otherwise(self, texts: pa.Array) -> str:
        """Say so when most of these texts are numbers to a reader, though not to us."""
        if pc.mean(pc.match_substring_regex(texts, OTHERWISE_NUMBER_LIKE)).as_py() < MOSTLY:
            return ""
        position = pc.index(pc.match_substring_regex(texts, NUMBER_LIKE), value=False).as_py()
        return (
            f"Column {self._name!r} is stored as text: most of its values look like numbers written like "
            f"{texts[position].as_py()[:SHOWN_CHARACTERS]!r}. A number has a point before its decimals, "
            "nothing between its thousands and '-' as its sign."
        )
