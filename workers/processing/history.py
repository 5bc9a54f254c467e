"""Puts earlier rows before new ones, so that steps which look at earlier rows see the whole table.

docs/decisions/models.md, "New rows are given their past, which is what the features were fitted on unless said
otherwise".
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from shared import column_names, errors
from shared.ml import frames, inference, integers
from workers.processing import reach

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Convert = Callable[[pa.RecordBatch], pa.RecordBatch]
Conform = Callable[[pd.DataFrame], pd.DataFrame]


@dataclasses.dataclass(frozen=True)
class History:
    """A dataset with earlier rows, as `name@version`, and the columns by which a row of it is the same as a new one.

    Without a `key` two rows are the same if all columns that both datasets have are equal.
    """

    path: Path
    label: str
    key: tuple[str, ...] = ()


class Past:
    """The rows of a history that stand before the rows of one dataset; `notes` say which were left out."""

    def __init__(self, history: History, dataset: Path, *, reach_back: reach.Reach, max_cells: int) -> None:
        """Take the history, the dataset, what the steps reach back to, and how many values may be in memory."""
        self._history = history
        self._dataset = dataset
        self._reach = reach_back
        self._max_cells = max_cells
        self.notes: list[str] = []

    def put_before(self, new: pa.Table, *, convert: Convert, conform: Conform) -> pd.DataFrame:
        """Build the frame of the rows of the past and the new ones, whose labels are their positions from 0.

        The labels of the past are -1 for the history's first row, -2 for the second and so on. `convert` and `conform`
        are what is done to batches and frames of new rows. BadDataError when the history lacks a column,
        LimitExceededError when both are too large to be held.
        """
        table, positions = self._read(new, convert)
        rows = conform(frames.to_frame(new))
        if not len(positions):
            self.notes.append(f"No row of the history {self._history.label} can be in the past of a row.")
            return rows
        past = conform(frames.to_frame(table).set_axis(-1 - positions))
        past, rows = integers.unify([past, rows])
        whole = pd.concat([past, rows])
        kept = self._find_kept(whole, positions)
        total = frames.count_rows(self._history.path)
        self.notes.insert(
            0,
            f"{kept.sum():,} of {total:,} rows of the history {self._history.label} were put before the {len(rows):,} "
            "rows of the dataset, for the steps that look at earlier rows.",
        )
        return whole[np.concatenate([kept, np.ones(len(rows), dtype=bool)])]

    def _read(self, new: pa.Table, convert: Convert) -> tuple[pa.Table, Positions]:
        """Read what the steps take of the history's rows that new rows may need, and their positions."""
        present = frames.read_columns(self._history.path)
        column_names.require(new.column_names, present=[column.name for column in present])
        bounds = self._reach.bound(new)
        names = list(dict.fromkeys([*self._reach.by, *([self._reach.order] if self._reach.order else [])]))
        # A key may say that a row of any time is a new one, and then more rows than counted are needed. Columns of
        # other types than the features were fitted on are refused by what follows, or converted.
        is_alike = all(self._reach.has_types(columns, names) for columns in (present, frames.columns_of(new.schema)))
        if self._reach.rows is None or self._history.key or not is_alike:
            return self._read_needed(new.column_names, bounds.find_needed, new, convert)
        keys, positions = self._read_needed(names, bounds.find_needed, new, convert)
        if not len(positions):
            return new.slice(0, 0), positions
        both = integers.unify([frames.to_frame(keys), frames.to_frame(new.select(names))])
        positions = positions[reach.find_last(pd.concat(both), past=len(positions), reach=self._reach)]
        is_last = np.zeros(frames.count_rows(self._history.path), dtype=bool)
        is_last[positions] = True

        def find_last(batch: pa.RecordBatch, first: int) -> Mask:
            return is_last[first : first + batch.num_rows]

        return self._read_needed(new.column_names, find_last, new, convert)

    def _read_needed(
        self, names: list[str], find_needed: Callable[[pa.RecordBatch, int], Mask], new: pa.Table, convert: Convert
    ) -> tuple[pa.Table, Positions]:
        """Read columns of the rows that are needed, batch by batch, and return their positions too."""
        kept: list[pa.RecordBatch] = []
        positions: list[Positions] = [np.zeros(0, dtype=np.int64)]
        first, held = 0, new.num_rows
        batch_rows = inference.compute_batch_rows(len(names))
        for batch in frames.iterate_batches(self._history.path, batch_rows=batch_rows, columns=names):
            converted = convert(batch)
            needed = np.flatnonzero(find_needed(converted, first))
            held += len(needed)
            if held * len(names) > self._max_cells:
                raise errors.LimitExceededError(
                    f"steps that look at other rows hold the whole table, and at least {held:,} rows of {len(names)} "
                    f"columns, with those of the history {self._history.label}, are more than {self._max_cells:,} "
                    "values; name a `history` with later rows or fewer groups, or false for none"
                )
            if len(needed):
                kept.append(converted.take(pa.array(needed)))
            positions.append(first + needed)
            first += batch.num_rows
        table = pa.Table.from_batches(kept) if kept else new.select(names).slice(0, 0)
        return table, np.concatenate(positions)

    def _find_kept(self, whole: pd.DataFrame, positions: Positions) -> Mask:
        """Find which rows of the past, the first of all, are no row of the dataset too."""
        is_same = (
            self._find_same_keys(positions, len(whole)) if self._history.key else self._find_equal(whole, positions)
        )
        if is_same.any():
            by = " and ".join(repr(name) for name in self._history.key) or "every column"
            self.notes.append(
                f"{is_same.sum():,} rows of the history {self._history.label} were left out, because rows of the "
                f"dataset are equal in {by}."
            )
        kept = ~is_same
        tied = self._count_tied(whole, kept)
        if tied and not self._history.key:
            self.notes.append(
                f"{tied:,} rows of the history {self._history.label} have the group and the time of a row of the "
                "dataset, but other values, so both count; name the columns in `history_key` that tell which rows are "
                "the same."
            )
        return kept

    def _find_equal(self, whole: pd.DataFrame, positions: Positions) -> Mask:
        """Find the rows of the past that are equal to a new row in all columns, each new row standing for one."""
        past = len(positions)
        groups = _number(whole)
        shared = np.isin(groups, groups[:past]) & np.isin(groups, groups[past:])
        if not shared.any():
            return np.zeros(past, dtype=bool)
        # Only rows that are equal in what the steps take are compared in the other columns too.
        others = [name for name in self._list_common() if name not in whole.columns]
        compared = np.flatnonzero(shared)
        frame = self._read_others(others, compared, positions).assign(**{"": groups[compared]})
        equal = np.full(len(whole), -1, dtype=np.int64)
        equal[compared] = _number(frame)
        counts = np.bincount(equal[past:][equal[past:] >= 0], minlength=len(compared))
        ranks = pd.Series(equal[:past]).groupby(equal[:past]).cumcount().to_numpy()
        return np.asarray((equal[:past] >= 0) & (ranks < counts[equal[:past]]))

    def _find_same_keys(self, positions: Positions, rows: int) -> Mask:
        past = len(positions)
        key = list(self._history.key)
        frame = self._read_others(key, np.arange(rows), positions)
        groups = _number(frame)
        has_key = frame.notna().all(axis=1).to_numpy()
        return np.asarray(has_key[:past] & np.isin(groups[:past], groups[past:]))

    def _list_common(self) -> list[str]:
        present = {column.name for column in frames.read_columns(self._history.path)}
        return [column.name for column in frames.read_columns(self._dataset) if column.name in present]

    def _read_others(self, names: list[str], chosen: Positions, positions: Positions) -> pd.DataFrame:
        """Read columns of some rows, whose numbers below `len(positions)` are those of the past."""
        if not names:
            return pd.DataFrame(index=pd.RangeIndex(len(chosen)))
        of_past = positions[chosen[chosen < len(positions)]]
        of_new = chosen[chosen >= len(positions)] - len(positions)
        parts = [_take(self._history.path, names, of_past), _take(self._dataset, names, of_new)]
        return pd.concat(integers.unify(parts), ignore_index=True)

    def _count_tied(self, whole: pd.DataFrame, kept: Mask) -> int:
        names = [name for name in (*self._reach.by, self._reach.order) if name is not None]
        if self._reach.order is None:
            return 0
        groups = _number(whole[names])
        past = len(kept)
        has_time = whole[self._reach.order].notna().to_numpy()
        return int((kept & has_time[:past] & np.isin(groups[:past], groups[past:][has_time[past:]])).sum())


def _number(frame: pd.DataFrame) -> Positions:
    """Return a number for each row, the same for rows that are equal; missing values are equal."""
    return np.asarray(frame.groupby(list(frame.columns), dropna=False, sort=False).ngroup(), dtype=np.int64)


def _take(path: Path, names: list[str], rows: Positions) -> pd.DataFrame:
    """Read columns of a file's rows at increasing positions."""
    parts: list[pa.Table] = []
    first = 0
    for batch in frames.iterate_batches(path, batch_rows=inference.compute_batch_rows(len(names)), columns=names):
        begin, end = np.searchsorted(rows, [first, first + batch.num_rows])
        parts.append(pa.Table.from_batches([batch]).take(pa.array(rows[begin:end] - first)))
        first += batch.num_rows
    return (
        frames.to_frame(pa.concat_tables(parts)) if parts else frames.to_frame(frames.read_table(path, columns=names))
    )
