"""Computes functions of windows of rows, each from the values in its window and from no others.

Running sums keep the rounding errors of values that have left the window: after 1e16 all precision is lost. So the rows
are cut into blocks, such that each window is the end of one block and the beginning of the next. Within a block sums
only grow, and the results of a window's two parts are combined, in a time that doesn't depend on how long windows are
(M. van Herk 1992, J. Gil and M. Werman 1993; deviations by T. Chan, G. Golub and R. LeVeque 1979).
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import indexers

Positions = npt.NDArray[np.int64]
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
    ) -> tuple[Positions, Positions]:
        """Return where each row's window begins, and where it ends."""
        return self.begins, self.ends  # type: ignore[attr-defined]  # pandas sets these attributes.


class Windows:
    """Each row's window, from `begins` to before `ends`; its second part begins at `middles`, and may be empty."""

    def __init__(self, begins: Positions, ends: Positions, *, opens_block: npt.NDArray[np.bool_]) -> None:
        """Take the windows, and which rows open a block; no window may reach into more than two blocks."""
        self.begins = begins
        self.ends = ends
        rows = len(opens_block)
        closes_block = np.append(opens_block[1:], True)[:rows]
        block_ends = rows - last_true(closes_block[::-1])[::-1]
        self.middles = np.where(block_ends[begins] <= ends, block_ends[begins], begins)
        after = np.arange(1, rows + 1)
        # From the block's first row to each row, and backwards from the block's last row to each row.
        self.from_block_begin = _Bounds(begins=last_true(opens_block), ends=after)
        self.from_block_end = _Bounds(begins=(rows - block_ends)[::-1], ends=after)


class Values:
    """The values of a column, in the order of the windows' rows."""

    def __init__(self, values: pd.Series, windows: Windows) -> None:
        """Take the values and the windows over them."""
        self._values = values.reset_index(drop=True)
        self._reversed = self._values[::-1].reset_index(drop=True)
        self._windows = windows

    def compute(self, function: str) -> Floats:
        """Compute one of the recipe language's functions of each window; a result that is not finite is missing."""
        with np.errstate(all="ignore"):
            match function:
                case "count":
                    return self._count
                case "sum":
                    results = np.where(self._count > 0, np.add(*self._compute_parts("sum")), np.nan)
                case "mean":
                    results = self._compute_mean()
                case "std":
                    results = self._compute_deviation()
                case _:
                    bounds = _Bounds(begins=self._windows.begins, ends=self._windows.ends)
                    results = _roll(function, self._values, bounds)
        results[~np.isfinite(results)] = np.nan
        return results

    def _compute_mean(self) -> Floats:
        first, second = self._means
        return first + (second - first) * (self._counts[1] / self._count)

    def _compute_deviation(self) -> Floats:
        variances = self._compute_parts("var", ddof=0)
        within = sum(count * variance for count, variance in zip(self._counts, variances, strict=True))
        difference = np.subtract(*self._means)
        between = difference * (self._counts[0] * self._counts[1] / self._count) * difference
        return np.sqrt((within + between) / (self._count - 1))

    @functools.cached_property
    def _counts(self) -> tuple[Floats, Floats]:
        """How many values there are in each window's two parts."""
        count_before = np.concatenate([[0.0], np.cumsum(self._values.notna().to_numpy(), dtype=np.float64)])
        windows = self._windows
        begin, middle, end = (count_before[rows] for rows in (windows.begins, windows.middles, windows.ends))
        return middle - begin, end - middle

    @functools.cached_property
    def _count(self) -> Floats:
        return np.add(*self._counts)

    @functools.cached_property
    def _means(self) -> tuple[Floats, Floats]:
        return self._compute_parts("mean")

    def _compute_parts(self, function: str, **options: Any) -> tuple[Floats, Floats]:
        """Compute a function of each window's two parts; 0 for a part without values."""
        first = _roll(function, self._reversed, self._windows.from_block_end, **options)[::-1]
        second = _roll(function, self._values, self._windows.from_block_begin, **options)
        return (
            np.where(self._counts[0] > 0, first[self._windows.begins], 0.0),
            np.where(self._counts[1] > 0, second[self._windows.ends - 1], 0.0),
        )


def last_true(mask: npt.NDArray[np.bool_]) -> Positions:
    """Find, for each position, the last position up to it where the mask is true; 0 when there is none."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), 0))


def _roll(function: str, values: pd.Series, bounds: _Bounds, **options: Any) -> Floats:
    return np.asarray(getattr(values.rolling(bounds, min_periods=1), function)(**options), dtype=np.float64)
