"""Steps on whole tables: which rows are kept, and what strictly earlier rows of the same group held."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared.ml import expressions, times
from shared.ml.recipes import window_sums
from shared.recipe.step import Step
from shared.recipe.tables import Filter, Lag, Rolling, Windowed

Places = window_sums.Places
UNIT_US = {"seconds": 1_000_000, "days": 86_400_000_000}


def apply(step: Step, frame: pd.DataFrame, *, types: Mapping[str, str]) -> pd.DataFrame:
    """Do a step on a whole frame; rows keep their labels and their order."""
    match step:
        case Filter():
            return frame[expressions.keeps(step.where, frame, types=types)]
        case Lag():
            return _lag(step, _History(frame, step), frame)
        case Rolling():
            return _roll(step, _History(frame, step), frame)
    raise AssertionError(f"{step.op} does not look at whole tables")


class _History:
    """A frame's rows by group and time. Rows without a time have no past, and are in nobody else's.

    `rows` are the places in the frame of the sorted rows, `begins` where each one's group begins among these, and
    `now` where the first row of its group and time is: what lies between is strictly earlier.
    """

    def __init__(self, frame: pd.DataFrame, step: Windowed) -> None:
        groups = _groups(frame, step.by)
        self.times = _times(frame[step.order])
        timed = np.flatnonzero(frame[step.order].notna().to_numpy())
        self.rows = timed[np.lexsort((timed, self.times[timed], groups[timed]))]
        group, self.times = groups[self.rows], self.times[self.rows]
        new_group = _differs(group)
        self.begins = window_sums.last_true(new_group)
        self.now = window_sums.last_true(new_group | _differs(self.times))


def _groups(frame: pd.DataFrame, by: list[str]) -> Places:
    if not by:
        return np.zeros(len(frame), dtype=np.int64)
    return np.asarray(frame.groupby(by, dropna=False, sort=False).ngroup(), dtype=np.int64)


def _times(values: pd.Series) -> npt.NDArray[Any]:
    """Give times as microseconds, and numbers as they are."""
    if values.dtype == np.float64:
        return np.asarray(values)
    return times.in_utc(values).view(np.int64)


def _differs(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.concatenate([[True], values[1:] != values[:-1]]) if len(values) else np.zeros(0, dtype=bool)


def _lag(step: Lag, history: _History, frame: pd.DataFrame) -> pd.DataFrame:
    made = {}
    for name in step.columns:
        for lag in dict.fromkeys(step.lags):
            places = np.full(len(frame), -1, dtype=np.int64)
            back = history.now - lag
            there = back >= history.begins
            places[history.rows[there]] = history.rows[back[there]]
            made[f"{name}_lag{lag}"] = _take(frame[name], places)
    return frame.assign(**made)


def _take(values: pd.Series, places: Places) -> pd.Series:
    """Take values by their places, and nothing where the place is -1."""
    nothing = pd.NaT if isinstance(values.dtype, pd.DatetimeTZDtype) else np.nan
    taken = values.array.take(places, allow_fill=True, fill_value=nothing)
    return pd.Series(taken, index=values.index, dtype=values.dtype)


def _roll(step: Rolling, history: _History, frame: pd.DataFrame) -> pd.DataFrame:
    windows = _windows(step, history)
    made = {}
    for name in step.columns:
        values = window_sums.Values(frame[name].iloc[history.rows], windows)
        for function in dict.fromkeys(step.functions):
            column = np.full(len(frame), 0.0 if function == "count" else np.nan)
            column[history.rows] = values.compute(function)
            made[step.column(name, function)] = column
    return frame.assign(**made)


def _windows(step: Rolling, history: _History) -> window_sums.Windows:
    """Give each row's window, cut at steps of a window's length from where its group, or time, begins."""
    places = np.arange(len(history.rows))
    if step.unit == "rows":
        begins = np.maximum(history.begins, history.now - step.window)
        opens = (places - history.begins) % step.window == 0
    else:
        width = step.window * UNIT_US[step.unit]
        begins = _since(history.times - width, history)
        opens = (places == history.begins) | _differs(history.times // width)
    return window_sums.Windows(begins, history.now, opens=opens)


def _since(oldest: Places, history: _History) -> Places:
    """Give the first place of each row's group that is not too long ago."""
    first = np.zeros(len(history.rows), dtype=np.int64)
    for begin, end in _spans(history.begins):
        first[begin:end] = begin + np.searchsorted(history.times[begin:end], oldest[begin:end], side="left")
    return first


def _spans(begins: Places) -> list[tuple[int, int]]:
    edges = [*np.unique(begins).tolist(), len(begins)]
    return list(itertools.pairwise(edges))
