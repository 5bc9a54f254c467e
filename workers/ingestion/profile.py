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
from workers.ingestion import sketches

QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
TOP_VALUES = 10
# A very wide table gets shorter documents, so that all of them together stay below a few megabytes.
WIDE_COLUMNS = 1_000
WIDE_TOP_VALUES = 2
# Numbers sampled at once over all columns that are profiled together.
VALUES_AT_ONCE = 10_000_000
COLUMNS_AT_ONCE = 100
# In fewer rows of a row group every value is counted.
MANY_ROWS = 65_536


def profile_parquet(
    path: Path,
    *,
    columns: list[contract.Column],
    threads: int = 1,
    progress: Progress = no_progress,
) -> list[dict[str, Any]]:
    """Profile a file that Millrace wrote, a few columns at a time.

    Each document has `name, type, count` (of values), `nulls, distinct, min, max, mean, std, quantiles` (by share, such
    as "0.5"), `top` (values with counts) and `approximate`: which of these are estimates, because the column is large.
    What a column has no use for is null. Times and dates are ISO text; text is cut after 100 characters.
    """
    documents: list[dict[str, Any]] = []
    with (
        parquet.ParquetFile(path, pre_buffer=False, memory_map=False) as file,
        concurrent.futures.ThreadPoolExecutor(threads) as pool,
    ):
        rows = file.metadata.num_rows
        step = max(1, min(COLUMNS_AT_ONCE, VALUES_AT_ONCE // max(1, min(rows, sketches.SAMPLE_ROWS))))
        for start in range(0, len(columns), step):
            profiles = [ColumnProfile(column) for column in columns[start : start + step]]
            names = [column.name for column in columns[start : start + step]]
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=names, use_threads=threads > 1)
                list(pool.map(_add, profiles, itertools.repeat(table)))
                done = (start + len(names) * (group + 1) / file.num_row_groups) / len(columns)
                progress(min(done, 1.0), "profiling")
            documents += describe(profiles, width=len(columns), pool=pool)
    return documents


def fits_at_once(columns: list[contract.Column]) -> bool:
    """Tell whether a table is narrow enough for all its columns to be profiled while it is written."""
    return len(columns) * sketches.SAMPLE_ROWS <= 2 * VALUES_AT_ONCE


def describe(profiles: list["ColumnProfile"], *, width: int, pool: concurrent.futures.Executor) -> list[dict[str, Any]]:
    """Give the documents of some columns of a table that has `width` of them."""
    top_values = TOP_VALUES if width <= WIDE_COLUMNS else WIDE_TOP_VALUES
    return list(pool.map(ColumnProfile.document, profiles, itertools.repeat(top_values)))


def _add(one: "ColumnProfile", table: pa.Table) -> None:
    one.add(table.column(one.name).combine_chunks())


class ColumnProfile:
    """The summaries of one column."""

    def __init__(self, column: contract.Column) -> None:
        """Start with no value."""
        self.name = column.name
        self._type = column.type
        self._nulls = self._count = 0
        self._least: Any = None
        self._most: Any = None
        self._distinct = sketches.DistinctCount()
        self._frequent = sketches.FrequentValues()
        self._moments = sketches.Moments()
        self._sample = sketches.RowSample(seed=0)

    def add(self, values: pa.Array) -> None:
        """Take in the next values, plain or as a dictionary."""
        self._nulls += values.null_count
        self._count += len(values) - values.null_count
        if len(values) == values.null_count:
            return
        distinct = self._count_values(values.drop_null())
        if self._type == "string":
            extremes = pc.min_max(distinct)
            least, most = extremes["min"].as_py(), extremes["max"].as_py()
        else:
            least, most = self._add_numbers(values)
        self._least = least if self._least is None else min(self._least, least)
        self._most = most if self._most is None else max(self._most, most)

    def _count_values(self, known: pa.Array) -> pa.Array:
        """Count values, none of them null; gives each of them at least once."""
        is_estimated = not self._distinct.exact and not self._frequent.exact
        if is_estimated and len(known) >= MANY_ROWS and not pa.types.is_dictionary(known.type):
            # Identifiers and measurements: to count what comes once or twice costs more than all else.
            hashes = sketches.hash_values(known)
            self._distinct.add(hashes)
            self._frequent.add_repeated(known, hashes)
            return known
        distinct, counts = sketches.count_values(known)
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

    def document(self, top_values: int) -> dict[str, Any]:
        """Give the profile, safe as JSON."""
        quantiles = self._sample.quantiles(QUANTILES)
        sure = {"distinct": self._distinct.exact, "quantiles": self._sample.exact, "top": self._frequent.exact}
        if not quantiles:
            del sure["quantiles"]
        return {
            "name": self.name,
            "type": self._type,
            "count": self._count,
            "nulls": self._nulls,
            "distinct": min(self._distinct.estimate(), self._count),
            "min": self._show(self._least),
            "max": self._show(self._most),
            "mean": self._show_number(self._moments.mean) if self._moments.count else None,
            "std": self._show_number(self._moments.std),
            "quantiles": {str(q): self._show(value) for q, value in zip(QUANTILES, quantiles, strict=False)} or None,
            "top": [{"value": self._show(value), "count": count} for value, count in self._frequent.top(top_values)],
            "approximate": [name for name, exact in sure.items() if not exact],
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
        """Give a number, or None for one that JSON can't hold."""
        return value if value is not None and math.isfinite(value) else None
