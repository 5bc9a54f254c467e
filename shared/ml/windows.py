"""Steps on whole tables: which rows are kept, and what strictly earlier rows of the same group held."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import indexers

from shared import recipe
from shared.ml import expressions, times
from shared.ml import made as naming

Places = npt.NDArray[np.int64]
UNIT_US = {"seconds": 1_000_000, "days": 86_400_000_000}


def apply(step: recipe.Step, frame: pd.DataFrame, *, types: Mapping[str, str]) -> pd.DataFrame:
    """Do a step on a whole frame; rows keep their labels and their order."""
    match step:
        case recipe.Filter():
            return frame[expressions.keeps(step.where, frame, types=types)]
        case recipe.Lag():
            return _lag(step, _History(frame, step), frame)
        case recipe.Rolling():
            return _roll(step, _History(frame, step), frame)
    raise AssertionError(f"{step.op} does not look at whole tables")


class _History:
    """A frame's rows by group and time. Rows without a time have no past, and are in nobody else's.

    `rows` are the places in the frame of the sorted rows, `begins` where each one's group begins among these, and
    `now` where the first row of its group and time is: what lies between is strictly earlier.
    """

    def __init__(self, frame: pd.DataFrame, step: recipe.Windowed) -> None:
        groups = _groups(frame, step.by)
        self.times = _times(frame[step.order])
        timed = np.flatnonzero(frame[step.order].notna().to_numpy())
        self.rows = timed[np.lexsort((timed, self.times[timed], groups[timed]))]
        group, self.times = groups[self.rows], self.times[self.rows]
        new_group = _differs(group)
        self.begins = _last_true(new_group)
        self.now = _last_true(new_group | _differs(self.times))


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


def _last_true(marks: npt.NDArray[np.bool_]) -> Places:
    """Give for each place the last one up to it that is marked."""
    return np.maximum.accumulate(np.where(marks, np.arange(len(marks)), 0))


def _lag(step: recipe.Lag, history: _History, frame: pd.DataFrame) -> pd.DataFrame:
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


class _Bounds(indexers.BaseIndexer):
    """Windows whose bounds are known for each row."""

    def get_window_bounds(
        self,
        num_values: int = 0,  # noqa: ARG002  # pandas' signature.
        min_periods: int | None = None,  # noqa: ARG002
        center: bool | None = None,  # noqa: ARG002, FBT001
        closed: str | None = None,  # noqa: ARG002
        step: int | None = None,  # noqa: ARG002
    ) -> tuple[Places, Places]:
        """Give where each row's window begins, and where it ends."""
        return self.begins, self.ends  # type: ignore[attr-defined]  # pandas keeps what it is given.


def _roll(step: recipe.Rolling, history: _History, frame: pd.DataFrame) -> pd.DataFrame:
    begins = np.maximum(history.begins, _first(step, history))
    bounds = _Bounds(begins=begins, ends=history.now)
    made = {}
    for name in step.columns:
        rolling = frame[name].iloc[history.rows].reset_index(drop=True).rolling(bounds, min_periods=1)
        for function in dict.fromkeys(step.functions):
            values = np.full(len(frame), np.nan)
            values[history.rows] = getattr(rolling, function)().to_numpy()
            made[naming.rolled(step, name, function)] = np.nan_to_num(values) if function == "count" else values
    return frame.assign(**made)


def _first(step: recipe.Rolling, history: _History) -> Places:
    """Give the first place that is not too long ago, were there no groups."""
    if step.unit == "rows":
        return history.now - step.window
    first = np.zeros(len(history.rows), dtype=np.int64)
    oldest = history.times - step.window * UNIT_US[step.unit]
    for begin, end in _spans(history.begins):
        first[begin:end] = begin + np.searchsorted(history.times[begin:end], oldest[begin:end], side="left")
    return first


def _spans(begins: Places) -> list[tuple[int, int]]:
    edges = [*np.unique(begins).tolist(), len(begins)]
    return list(itertools.pairwise(edges))
