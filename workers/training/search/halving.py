"""Successive halving as scikit-learn's HalvingRandomSearchCV does it: the same rungs, rows and survivors.

The formulas are from its source, sklearn/model_selection/_search_successive_halving.py; tests compare the results.
"""

import math
from collections.abc import Sequence

import numpy as np
from sklearn import utils

from shared import errors
from shared.training.search.methods import Halving
from workers.training.splits import outer


def plan_rungs(halving: Halving, *, candidates: int, min_resources: int, available: int) -> list[int]:
    """Plan each rung's resources; `min_resources` is what the first rung needs, `available` the number of rows."""
    available = (
        min(halving.max_resources or available, available)
        if halving.resource == "rows"
        else halving.max_resources or available
    )
    factor = halving.factor
    needed = 1 + _floor_log(candidates, factor)
    first = halving.min_resources or max(min_resources, available // factor ** (needed - 1))
    if first > available:
        raise errors.BadModelError(
            f"the first rung needs {first} {halving.resource} and the last may have {available}; give fewer folds, "
            "a smaller min_resources or a greater max_resources",
            pointer="#/params/search/halving",
        )
    affordable = 1 + _floor_log(available // first, factor)
    count = needed if halving.aggressive_elimination else min(affordable, needed)
    repeated = max(0, needed - affordable) if halving.aggressive_elimination else 0
    return [min(factor ** max(0, rung - repeated) * first, available) for rung in range(count)]


def _floor_log(number: int, factor: int) -> int:
    return math.floor(math.log(number, factor))


def count_first_rung_rows(*, splits_count: int, classes: int) -> int:
    """Count the rows that a first rung needs: two for each split and class; `classes` is 0 without classes."""
    return splits_count * 2 * max(1, classes)


def select_survivors(values: Sequence[float | None], *, factor: int, greater_is_better: bool) -> list[int]:
    """Select the trials that go on to the next rung, as indices, the best last; a failed trial's value is None."""
    scores = np.array([math.nan if value is None else value if greater_is_better else -value for value in values])
    ordered = np.roll(np.argsort(scores), np.count_nonzero(np.isnan(scores)))
    return [int(index) for index in ordered[-math.ceil(len(scores) / factor) :] if not math.isnan(scores[index])]


def shrink_splits(splits: list[outer.Split], *, fraction: float, seed: int) -> list[outer.Split]:
    """Reduce each split to a sample of its rows, the same in every trial of a rung."""
    if fraction >= 1:
        return splits
    return [(_sample(train, fraction, seed), _sample(test, fraction, seed)) for train, test in splits]


def _sample(rows: outer.Rows, fraction: float, seed: int) -> outer.Rows:
    sample: outer.Rows = utils.resample(rows, replace=False, random_state=seed, n_samples=int(fraction * len(rows)))
    return sample
