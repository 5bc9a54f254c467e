"""Splits rows by time: what is held out is later than what is fitted on, and rows of equal times stay together.

The cuts are scikit-learn's TimeSeriesSplit's, each moved to the nearest place where the time changes.
docs/decisions/models.md, "A time series is cut only where the time changes".
"""

import numpy as np

from shared import errors
from shared.ml import targets

Values = targets.Values
Split = tuple[Values, Values]


def make_folds(
    times: Values,
    *,
    folds: int,
    least: int = 1,
    gap: int = 0,
    test_rows: int | None = None,
    max_train_rows: int | None = None,
) -> list[Split]:
    """Make (earlier rows, later rows) by position, `folds` of them or as many as there are later times.

    At least `gap` rows are left out between the two, each second part has about `test_rows` rows, and each first part
    at most the latest `max_train_rows`. BadDataError for fewer than `least` folds, and for parts that would be empty.
    """
    order, cuts = _sort(times)
    rows, count = len(order), min(folds, len(cuts))
    if count < least:
        raise errors.BadDataError(
            f"the rows have {_count_times(len(cuts) + 1)}, but {least} {'fold' if least == 1 else 'folds'} in time "
            f"need {least + 1} or more; rows of the same time are never separated"
        )
    size = test_rows or rows // (count + 1)
    if rows - gap - size * count <= 0:
        raise errors.BadDataError(
            f"{rows} rows are too few for {count} folds of {size} rows in time after a gap of {gap} rows; use fewer "
            "folds, or a smaller gap"
        )
    begins = _snap(cuts, [rows - number * size for number in range(count, 0, -1)])
    ends = [*begins[1:], rows]
    return [
        (_take_before(order, cuts, begin, gap=gap, max_rows=max_train_rows), order[begin:end])
        for begin, end in zip(begins, ends, strict=True)
    ]


def hold_out(times: Values, *, fraction: float, gap: int = 0) -> Split:
    """Hold out about a fraction of the rows, the latest ones; returns (earlier rows, later rows) by position.

    BadDataError when all rows have the same time, or none is left before the gap.
    """
    order, cuts = _sort(times)
    if not len(cuts):
        raise errors.BadDataError("all rows have the same time, so there are no later ones to hold out")
    [begin] = _snap(cuts, [len(order) - int(np.ceil(fraction * len(order)))])
    return _take_before(order, cuts, begin, gap=gap, max_rows=None), order[begin:]


def describe_fewer(made: int, *, asked: int) -> str:
    """Describe that equal times allow fewer folds than were asked for."""
    return (
        f"there are {made} folds in time instead of {asked}: the rows have only {_count_times(made + 1)}, and rows of "
        "the same time are never separated"
    )


def _sort(times: Values) -> tuple[Values, Values]:
    """Sort positions by time, and find the places among them, after the first, where the time changes."""
    order = np.argsort(times, kind="stable")
    in_order = times[order]
    return order, np.flatnonzero(in_order[1:] != in_order[:-1]) + 1


def _snap(cuts: Values, wanted: list[int]) -> list[int]:
    """Choose a cut near each wanted place, all different and in order; there must be as many."""
    chosen, first = [], 0
    for number, place in enumerate(wanted, start=1):
        end = len(cuts) - (len(wanted) - number)
        nearest = first + int(np.argmin(np.abs(cuts[first:end] - place)))
        chosen.append(int(cuts[nearest]))
        first = nearest + 1
    return chosen


def _take_before(order: Values, cuts: Values, begin: int, *, gap: int, max_rows: int | None) -> Values:
    """Take the rows of whole times that end `gap` rows before a cut, at most the latest `max_rows`."""
    edges = np.concatenate([[0], cuts])
    end = int(edges[edges <= max(0, begin - gap)][-1])
    if end == 0:
        raise errors.BadDataError(
            f"a gap of {gap} rows leaves none of the {begin} rows before a cut to fit on; use fewer folds, or a "
            "smaller gap"
        )
    if max_rows is None:
        return order[:end]
    start = int(edges[edges >= max(0, end - max_rows)][0])
    if start >= end:
        latest = end - int(edges[edges < end][-1])
        raise errors.BadDataError(
            f"`max_train_rows` of {max_rows} is less than the {latest} rows of one time, and rows of the same time are "
            "never separated; give more, or leave it out"
        )
    return order[start:end]


def _count_times(count: int) -> str:
    return "1 time only" if count == 1 else f"{count} different times"
