"""Describes every column of a Parquet file in a small JSON document."""

import concurrent.futures
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from shared import contract
from shared.progress import Progress, no_progress
from workers.tabular import sketches

QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
TOP_VALUES = 10
# A very wide table gets shorter documents, so that all of them together stay within a few megabytes.
WIDE_COLUMNS = 1_000
WIDE_TOP_VALUES = 2
# The most numbers and columns to profile together.
MAX_SAMPLED_VALUES = 10_000_000
MAX_COLUMNS = 100
# In a row group with fewer rows, every value is counted.
MIN_ESTIMATED_ROWS = 65_536


def profile_parquet(
    path: Path,
    *,
    columns: list[contract.Column],
    threads: int = 1,
    progress: Progress = no_progress,
) -> list[dict[str, Any]]:
    """Profile a file that Millrace wrote, a few columns at a time.

    Each document has `name, type, count` (of values), `nulls, distinct, min, max, mean, std, quantiles` (by fraction,
    such as "0.5"), `top` (values with counts) and `approximate`: which of these are estimates, because the column is
    large. What does not apply to a column is null. Times and dates are ISO text; text is cut after 100 characters.
    """
    documents: list[dict[str, Any]] = []
    with (
        parquet.ParquetFile(path, pre_buffer=False, memory_map=False) as file,
        concurrent.futures.ThreadPoolExecutor(threads) as pool,
    ):
        rows = file.metadata.num_rows
        step = max(1, min(MAX_COLUMNS, MAX_SAMPLED_VALUES // max(1, min(rows, sketches.SAMPLE_ROWS))))
        for start in range(0, len(columns), step):
            profiles = [ColumnProfile(column) for column in columns[start : start + step]]
            names = [column.name for column in columns[start : start + step]]
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=names, use_threads=threads > 1)
                list(pool.map(_add, profiles, itertools.repeat(table)))
                done = (start + len(names) * (group + 1) / file.num_row_groups) / len(columns)
                progress(min(done, 1.0), "profiling")
            documents += to_documents(profiles, width=len(columns), pool=pool)
    return documents


def can_profile_while_writing(columns: list[contract.Column]) -> bool:
    """Check whether a table is narrow enough for all its columns to be profiled while it is written."""
    return len(columns) * sketches.SAMPLE_ROWS <= 2 * MAX_SAMPLED_VALUES


def to_documents(
    profiles: list["ColumnProfile"], *, width: int, pool: concurrent.futures.Executor
) -> list[dict[str, Any]]:
    """Build the documents of some of a table's `width` columns."""
    top_values = TOP_VALUES if width <= WIDE_COLUMNS else WIDE_TOP_VALUES
    return list(pool.map(ColumnProfile.to_document, profiles, itertools.repeat(top_values)))


def _add(profile: "ColumnProfile", table: pa.Table) -> None:
    profile.add(table.column(profile.name).combine_chunks())


class ColumnProfile:
    """The summaries of one column."""

    def __init__(self, column: contract.Column) -> None:
        """Start with no values."""
        self.name = column.name
        self._type = column.type
        self._nulls = self._count = 0
        self._min: Any = None
        self._max: Any = None
        self._distinct = sketches.DistinctCount()
        self._frequent = sketches.FrequentValues()
        self._moments = sketches.Moments()
        self._sample = sketches.RowSample(seed=0)

    def add(self, values: pa.Array) -> None:
        """Add the next values, plain or as a dictionary."""
        self._nulls += values.null_count
        self._count += len(values) - values.null_count
        if len(values) == values.null_count:
            return
        distinct = self._count_values(values.drop_null())
        if self._type == "string":
            extremes = pc.min_max(distinct)
            low, high = extremes["min"].as_py(), extremes["max"].as_py()
        else:
            low, high = self._add_numbers(values)
        self._min = low if self._min is None else min(self._min, low)
        self._max = high if self._max is None else max(self._max, high)

    def _count_values(self, values: pa.Array) -> pa.Array:
        """Count values, none of them null; return each distinct value at least once."""
        is_estimated = not self._distinct.exact and not self._frequent.exact
        if is_estimated and len(values) >= MIN_ESTIMATED_ROWS and not pa.types.is_dictionary(values.type):
            # Identifiers and measurements: counting values that occur once or twice costs more than everything else.
            hashes = sketches.hash_values(values)
            self._distinct.add(hashes)
            self._frequent.add_repeated(values, hashes)
            return values
        distinct, counts = sketches.count_values(values)
        self._distinct.add(sketches.hash_values(distinct))
        self._frequent.add(distinct, counts)
        return distinct

    def _add_numbers(self, values: pa.Array) -> tuple[Any, Any]:
        floats = sketches.to_floats(values)
        if self._type in ("integer", "number", "boolean"):
            self._moments.add(floats)
        if self._type != "boolean":
            self._sample.add(floats)
        if self._type in ("timestamp", "date", "number"):
            return float(floats.min()), float(floats.max())
        extremes = pc.min_max(values)
        return extremes["min"].as_py(), extremes["max"].as_py()

    def to_document(self, top_values: int) -> dict[str, Any]:
        """Build the profile, safe as JSON."""
        quantiles = self._sample.quantiles(QUANTILES)
        is_exact = {"distinct": self._distinct.exact, "quantiles": self._sample.exact, "top": self._frequent.exact}
        if not quantiles:
            del is_exact["quantiles"]
        return {
            "name": self.name,
            "type": self._type,
            "count": self._count,
            "nulls": self._nulls,
            "distinct": min(self._distinct.estimate(), self._count),
            "min": self._show(self._min),
            "max": self._show(self._max),
            "mean": self._show_number(self._moments.mean) if self._moments.count else None,
            "std": self._show_number(self._moments.std),
            "quantiles": {str(q): self._show(value) for q, value in zip(QUANTILES, quantiles, strict=False)} or None,
            "top": [{"value": self._show(value), "count": count} for value, count in self._frequent.top(top_values)],
            "approximate": [name for name, exact in is_exact.items() if not exact],
        }

    def _show(self, value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return value[: sketches.SHOWN_CHARACTERS]
        if self._type == "timestamp":
            return f"{np.datetime64(round(value), 'us')}Z"
        if self._type == "date":
            return str(np.datetime64(round(value), "D"))
        return self._show_number(value)

    @staticmethod
    def _show_number(value: Any) -> Any:
        """Return a number, or None for one that JSON can't hold."""
        return value if value is not None and math.isfinite(value) else None
