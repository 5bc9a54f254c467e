"""Successive halving as scikit-learn's HalvingRandomSearchCV does it: the same rungs, rows and survivors.

Its source, sklearn/model_selection/_search_successive_halving.py, is where the formulas come from; tests compare.
"""

import math
from collections.abc import Sequence

import numpy as np
from sklearn import utils

from shared import errors
from shared.training.search.methods import Halving
from workers.training.splits import outer


def rungs(halving: Halving, *, candidates: int, least: int, most: int) -> list[int]:
    """Give what each rung has; `least` is what the first must have, `most` what there is of rows."""
    most = min(halving.max_resources or most, most) if halving.resource == "rows" else halving.max_resources or most
    factor = halving.factor
    needed = 1 + _whole_log(candidates, factor)
    first = halving.min_resources or max(least, most // factor ** (needed - 1))
    if first > most:
        raise errors.BadModelError(
            f"the first rung needs {first} {halving.resource} and the last may have {most}; give fewer folds, "
            "a smaller min_resources or a greater max_resources",
            pointer="#/params/search/halving",
        )
    possible = 1 + _whole_log(most // first, factor)
    count = needed if halving.aggressive_elimination else min(possible, needed)
    repeated = max(0, needed - possible) if halving.aggressive_elimination else 0
    return [min(factor ** max(0, rung - repeated) * first, most) for rung in range(count)]


def _whole_log(number: int, factor: int) -> int:
    return math.floor(math.log(number, factor))


def least_rows(*, splits_count: int, classes: int) -> int:
    """Give the fewest rows that a first rung has: two for each split and class; `classes` is 0 without any."""
    return splits_count * 2 * max(1, classes)


def survivors(values: Sequence[float | None], *, factor: int, greater_is_better: bool) -> list[int]:
    """Give the places of those that go on to the next rung, the best last; None is what has failed."""
    worth = np.array([math.nan if value is None else value if greater_is_better else -value for value in values])
    ordered = np.roll(np.argsort(worth), np.count_nonzero(np.isnan(worth)))
    return [int(place) for place in ordered[-math.ceil(len(worth) / factor) :] if not math.isnan(worth[place])]


def shrink(parts: list[outer.Split], *, fraction: float, seed: int) -> list[outer.Split]:
    """Give each split a sample of its rows, the same in every trial of a rung."""
    if fraction >= 1:
        return parts
    return [(_sample(train, fraction, seed), _sample(test, fraction, seed)) for train, test in parts]


def _sample(rows: outer.Rows, fraction: float, seed: int) -> outer.Rows:
    taken: outer.Rows = utils.resample(rows, replace=False, random_state=seed, n_samples=int(fraction * len(rows)))
    return taken
