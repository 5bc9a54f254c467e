"""Applies steps on whole tables: filters rows, and looks back at strictly earlier rows of the same group."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared.ml import expressions, integers, times
from shared.ml.recipes import window_sums
from shared.recipe.step import Step
from shared.recipe.tables import Filter, Lag, Rolling

Positions = window_sums.Positions
UNIT_US = {"seconds": 1_000_000, "days": 86_400_000_000}


def apply(step: Step, frame: pd.DataFrame, *, types: Mapping[str, str]) -> pd.DataFrame:
    """Apply a step to a whole frame; rows keep their labels and their order."""
    match step:
        case Filter():
            return frame[expressions.find_true(step.where, frame, types=types)]
        case Lag():
            return _lag(step, SortedRows(frame, by=step.by, order=step.order), frame)
        case Rolling():
            return _roll(step, SortedRows(frame, by=step.by, order=step.order), frame)
    raise AssertionError(f"{step.op} does not look at whole tables")


class SortedRows:
    """A frame's rows, sorted by group and time; a row without a time has no past, and is in no other row's past.

    `rows` are the frame's positions of the sorted rows. For each sorted row, `begins` is where its group begins among
    them, and `ends` where the rows of its own group and time begin: the rows between are strictly earlier.
    """

    def __init__(self, frame: pd.DataFrame, *, by: list[str], order: str) -> None:
        """Sort a frame by its groups and its times."""
        groups = _groups(frame, by)
        self.times = _times(frame[order])
        timed = np.flatnonzero(frame[order].notna().to_numpy())
        self.rows = timed[np.lexsort((timed, self.times[timed], groups[timed]))]
        group, self.times = groups[self.rows], self.times[self.rows]
        new_group = _differs(group)
        self.begins = window_sums.last_true(new_group)
        self.ends = window_sums.last_true(new_group | _differs(self.times))


def _groups(frame: pd.DataFrame, by: list[str]) -> Positions:
    if not by:
        return np.zeros(len(frame), dtype=np.int64)
    return np.asarray(frame.groupby(by, dropna=False, sort=False).ngroup(), dtype=np.int64)


def _times(values: pd.Series) -> npt.NDArray[Any]:
    """Convert times to microseconds; numbers stay as they are, but missing ones may become any."""
    if values.dtype == np.float64:
        return np.asarray(values)
    if integers.is_exact(values):
        return values.to_numpy(dtype=np.int64, na_value=0)
    return times.to_utc(values).view(np.int64)


def _differs(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.concatenate([[True], values[1:] != values[:-1]]) if len(values) else np.zeros(0, dtype=bool)


def _lag(step: Lag, history: SortedRows, frame: pd.DataFrame) -> pd.DataFrame:
    columns = {}
    for name in step.columns:
        for lag in dict.fromkeys(step.lags):
            sources = np.full(len(frame), -1, dtype=np.int64)
            earlier = history.ends - lag
            exists = earlier >= history.begins
            sources[history.rows[exists]] = history.rows[earlier[exists]]
            columns[f"{name}_lag{lag}"] = _take(frame[name], sources)
    return frame.assign(**columns)


def _take(values: pd.Series, positions: Positions) -> pd.Series:
    """Take values by their positions; missing where the position is -1."""
    missing: Any = pd.NaT if isinstance(values.dtype, pd.DatetimeTZDtype) else np.nan
    if integers.is_exact(values):
        missing = pd.NA
    taken = values.array.take(positions, allow_fill=True, fill_value=missing)
    return pd.Series(taken, index=values.index, dtype=values.dtype)


def _roll(step: Rolling, history: SortedRows, frame: pd.DataFrame) -> pd.DataFrame:
    windows = _build_windows(step, history)
    columns = {}
    for name in step.columns:
        values = window_sums.Values(_to_floats(frame[name]).iloc[history.rows], windows)
        for function in dict.fromkeys(step.functions):
            column = np.full(len(frame), 0.0 if function == "count" else np.nan)
            column[history.rows] = values.compute(function)
            columns[step.name_output(name, function)] = column
    return frame.assign(**columns)


def _to_floats(values: pd.Series) -> pd.Series:
    """Convert exact integers to float64; a warning says when some are rounded."""
    if not integers.is_exact(values):
        return values
    return pd.Series(integers.round_to_floats(integers.to_objects(values), name="rolling"), index=values.index)


def _build_windows(step: Rolling, history: SortedRows) -> window_sums.Windows:
    """Build each row's window, with blocks of a window's length, counted from the group's start or from 1970."""
    positions = np.arange(len(history.rows))
    if step.unit == "rows":
        begins = np.maximum(history.begins, history.ends - step.window)
        opens_block = (positions - history.begins) % step.window == 0
    else:
        width = step.window * UNIT_US[step.unit]
        begins = _find_first_since(history.times - width, history)
        opens_block = (positions == history.begins) | _differs(history.times // width)
    return window_sums.Windows(begins, history.ends, opens_block=opens_block)


def _find_first_since(oldest: Positions, history: SortedRows) -> Positions:
    """Find the first row of each row's group whose time is not before `oldest`."""
    first = np.zeros(len(history.rows), dtype=np.int64)
    for begin, end in _group_spans(history.begins):
        first[begin:end] = begin + np.searchsorted(history.times[begin:end], oldest[begin:end], side="left")
    return first


def _group_spans(begins: Positions) -> list[tuple[int, int]]:
    edges = [*np.unique(begins).tolist(), len(begins)]
    return list(itertools.pairwise(edges))
