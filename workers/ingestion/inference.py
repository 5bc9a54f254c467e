"""Finds the type of every column from all of its values, never from a sample."""

import concurrent.futures
import dataclasses
import itertools

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract
from shared.ml import progress as progress_module
from workers.ingestion import limits as limits_module
from workers.ingestion import texts as texts_module
from workers.ingestion import values

NUMBER_LIKE = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
MOSTLY = 0.9
SHOWN_CHARACTERS = 40


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found about a table of text: its rows, and each column's type with the reason when it needs one."""

    rows: int
    types: list[contract.ColumnType]
    notes: list[str]


def infer(
    texts: texts_module.Texts,
    *,
    overrides: dict[str, contract.ColumnType],
    limits: limits_module.Limits,
    threads: int,
    progress: progress_module.Progress,
) -> Found:
    """Read the whole table once; count its rows and find the type of each column that has none given."""
    columns = [
        ColumnInference(name, candidates=candidates, given=overrides.get(name), limits=limits)
        for name, candidates in zip(texts.names, texts.candidates, strict=True)
    ]
    missing, rows = pa.array(texts.missing, pa.string()), 0
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for fraction, batch in texts.batches():
            limits.check_shape(rows + batch.num_rows, columns=len(columns))
            first_rows, sets = itertools.repeat(rows + 1), itertools.repeat(missing)
            for _ in pool.map(ColumnInference.update, columns, batch.columns, first_rows, sets):
                pass
            rows += batch.num_rows
            progress(fraction, f"finding types, row {rows:,}")
    return Found(rows, [column.type for column in columns], [column.reason for column in columns if column.reason])


class ColumnInference:
    """The strictest type that fits all values of a column seen so far."""

    def __init__(
        self,
        name: str,
        *,
        candidates: texts_module.FromText,
        given: contract.ColumnType | None,
        limits: limits_module.Limits,
    ) -> None:
        """Start with no value seen; a column whose type is given is only checked against the limits."""
        self._name = name
        self._candidates = candidates
        self._limits = limits
        self._type: contract.ColumnType | None = given
        self._settled = given is not None
        self._beyond_exact = False
        self.reason = ""

    @property
    def type(self) -> contract.ColumnType:
        """The type found; a column without any value is a string."""
        return self._type or "string"

    def update(self, texts: pa.Array, first_row: int, missing: pa.Array) -> None:
        """Take the next values in; LimitExceededError when one is too long."""
        lengths = pc.binary_length(texts)
        longest = pc.max(lengths).as_py() or 0
        if longest > self._limits.field_bytes:
            row = first_row + pc.index(lengths, longest).as_py()
            self._limits.check_field(longest, column=self._name, row=row)
        if self._settled or self._type == "string":
            return
        trimmed, _ = values.find_missing(texts, missing=missing)
        if trimmed.null_count == len(trimmed):
            return
        if self._type is None or not values.fits(trimmed, self._type):
            self._widen(trimmed, first_row)
        if self._type == "integer" and not self._beyond_exact:
            extremes = pc.min_max(trimmed.cast(pa.int64()))
            self._beyond_exact = max(-extremes["min"].as_py(), extremes["max"].as_py()) >= values.EXACT_INTEGER

    def _widen(self, trimmed: pa.Array, first_row: int) -> None:
        before = self._type
        found: contract.ColumnType = next((kind for kind in self._candidates if values.fits(trimmed, kind)), "string")
        self._type = self._join(before, found)
        if self._type == "string" and self._candidates:
            self.reason = self._reason(trimmed, before=before, first_row=first_row)

    def _join(self, before: contract.ColumnType | None, found: contract.ColumnType) -> contract.ColumnType:
        """Give the type that holds the values of both without loss."""
        if before is None or before == found:
            return found
        if {before, found} == {"integer", "number"} and not self._beyond_exact:
            return "number"
        if {before, found} == {"date", "timestamp"}:
            return "timestamp"
        return "string"

    def _reason(self, trimmed: pa.Array, *, before: contract.ColumnType | None, first_row: int) -> str:
        """Say which value made a string of a column that looked like something else."""
        if before is not None:
            position = values.first_misfit(trimmed, before, strictly=True)
            why = f"which is no {before} like the values before it, or would lose something as one"
        else:
            like_number = pc.fill_null(pc.match_substring_regex(trimmed, NUMBER_LIKE), fill_value=True)
            if pc.mean(like_number).as_py() < MOSTLY:
                return ""
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
