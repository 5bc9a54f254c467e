"""What the values of windows come to, each of them computed of the values that it holds and of no others.

Running sums keep the rounding errors of values that have left the window: after 1e16 all is lost. So the rows are cut
into blocks, such that each window is the end of one block and the beginning of the next. Within a block sums only grow,
and what both parts come to is put together, in a time that doesn't depend on how long windows are (M. van Herk 1992, J.
Gil and M. Werman 1993; deviations by T. Chan, G. Golub and R. LeVeque 1979).
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import indexers

Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


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


class Windows:
    """Each row's window, from `begins` to before `ends`; its second part begins at `middles`, and may be empty."""

    def __init__(self, begins: Places, ends: Places, *, opens: npt.NDArray[np.bool_]) -> None:
        """Take which rows open a block; no window may reach into more than two."""
        self.begins = begins
        self.ends = ends
        closes = np.append(opens[1:], True)[: len(opens)]
        block_ends = len(opens) - last_true(closes[::-1])[::-1]
        self.middles = np.where(block_ends[begins] <= ends, block_ends[begins], begins)
        after = np.arange(1, len(opens) + 1)
        self.grown = _Bounds(begins=last_true(opens), ends=after)
        self.grown_backwards = _Bounds(begins=(len(opens) - block_ends)[::-1], ends=after)


class Values:
    """A column's values, in the order of the windows' rows."""

    def __init__(self, values: pd.Series, windows: Windows) -> None:
        """Take the values and the windows over them."""
        self._values = values.reset_index(drop=True)
        self._backwards = self._values[::-1].reset_index(drop=True)
        self._windows = windows

    def compute(self, function: str) -> Floats:
        """Compute one of the recipe language's functions of each window; what is not finite is missing."""
        with np.errstate(all="ignore"):
            match function:
                case "count":
                    return self._count
                case "sum":
                    made = np.where(self._count > 0, np.add(*self._parts("sum")), np.nan)
                case "mean":
                    made = self._mean()
                case "std":
                    made = self._deviation()
                case _:
                    bounds = _Bounds(begins=self._windows.begins, ends=self._windows.ends)
                    made = _roll(function, self._values, bounds)
        made[~np.isfinite(made)] = np.nan
        return made

    def _mean(self) -> Floats:
        first, second = self._means
        return first + (second - first) * (self._counts[1] / self._count)

    def _deviation(self) -> Floats:
        within = sum(count * part for count, part in zip(self._counts, self._parts("var", ddof=0), strict=True))
        apart = np.subtract(*self._means)
        between = apart * (self._counts[0] * self._counts[1] / self._count) * apart
        return np.sqrt((within + between) / (self._count - 1))

    @functools.cached_property
    def _counts(self) -> tuple[Floats, Floats]:
        """How many values there are in each window's two parts."""
        before = np.concatenate([[0.0], np.cumsum(self._values.notna().to_numpy(), dtype=np.float64)])
        begun, halved, ended = (before[at] for at in (self._windows.begins, self._windows.middles, self._windows.ends))
        return halved - begun, ended - halved

    @functools.cached_property
    def _count(self) -> Floats:
        return np.add(*self._counts)

    @functools.cached_property
    def _means(self) -> tuple[Floats, Floats]:
        return self._parts("mean")

    def _parts(self, function: str, **given: Any) -> tuple[Floats, Floats]:
        """Compute a function of each window's two parts; 0 where one has no values."""
        first = _roll(function, self._backwards, self._windows.grown_backwards, **given)[::-1]
        second = _roll(function, self._values, self._windows.grown, **given)
        return (
            np.where(self._counts[0] > 0, first[self._windows.begins], 0.0),
            np.where(self._counts[1] > 0, second[self._windows.ends - 1], 0.0),
        )


def last_true(marks: npt.NDArray[np.bool_]) -> Places:
    """Give for each place the last one up to it that is marked."""
    return np.maximum.accumulate(np.where(marks, np.arange(len(marks)), 0))


def _roll(function: str, values: pd.Series, bounds: _Bounds, **given: Any) -> Floats:
    return np.asarray(getattr(values.rolling(bounds, min_periods=1), function)(**given), dtype=np.float64)
