"""Splits are scikit-learn's, and what can't be split is refused with what helps."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import model_selection

from shared import errors
from shared.training.validations import CrossValidation, HoldOut, TimeSeries, Validation
from tests.unit.training.tables import estimator, experiment
from workers.training import tables
from workers.training.splits import outer

ROWS = 60
random = np.random.default_rng(0)
LABELS = random.choice(["no", "yes"], size=ROWS, p=[0.7, 0.3]).astype(object)
NUMBERS = random.normal(size=ROWS)
GROUPS = random.integers(0, 9, size=ROWS)
TIMES = random.permutation(ROWS) // 2


def split(values: Any, validation: Validation, *, problem: Any = "classification", **more: Any) -> Any:
    """Split a table of these targets."""
    frame = pd.DataFrame({"x": np.zeros(ROWS if values is None else len(values))})
    name = {"classification": "GaussianNB", "clustering": "KMeans", "multilabel": "GaussianNB"}.get(problem, "Ridge")
    asked = experiment(columns=[], problem=problem, estimator=estimator(name), target="y", validation=validation)
    return outer.make_splits(tables.Table(frame, values, **more), experiment=asked)


def folds(**given: Any) -> CrossValidation:
    """Ask for four folds."""
    return CrossValidation(method="cross_validation", folds=4, seed=3, **given)


def part(**given: Any) -> HoldOut:
    """Ask for a hold-out."""
    return HoldOut(method="hold_out", test_fraction=0.3, seed=3, **given)


SEEDED: dict[str, Any] = {"random_state": 3}
SHUFFLED: dict[str, Any] = {"shuffle": True, **SEEDED}
PART: dict[str, Any] = {"test_size": 0.3, **SEEDED}


@pytest.mark.parametrize(
    ("validation", "problem", "values", "groups", "splitter"),
    [
        (folds(), "classification", LABELS, None, model_selection.StratifiedKFold(4, **SHUFFLED)),
        (folds(stratified=False), "classification", LABELS, None, model_selection.KFold(4, **SHUFFLED)),
        (folds(), "regression", NUMBERS, None, model_selection.KFold(4, **SHUFFLED)),
        (folds(), "clustering", None, None, model_selection.KFold(4, **SHUFFLED)),
        (folds(group="g"), "classification", LABELS, GROUPS, model_selection.StratifiedGroupKFold(4, **SHUFFLED)),
        (folds(group="g"), "regression", NUMBERS, GROUPS, model_selection.GroupKFold(4, **SHUFFLED)),
        (
            folds(repeats=3),
            "classification",
            LABELS,
            None,
            model_selection.RepeatedStratifiedKFold(n_splits=4, n_repeats=3, **SEEDED),
        ),
        (
            folds(repeats=3),
            "regression",
            NUMBERS,
            None,
            model_selection.RepeatedKFold(n_splits=4, n_repeats=3, **SEEDED),
        ),
        (part(), "classification", LABELS, None, model_selection.StratifiedShuffleSplit(1, **PART)),
        (part(repeats=3), "regression", NUMBERS, None, model_selection.ShuffleSplit(3, **PART)),
        (part(group="g"), "classification", LABELS, GROUPS, model_selection.GroupShuffleSplit(1, **PART)),
    ],
)
def test_splits_are_those_of_scikit_learn(
    validation: Validation, problem: str, values: Any, groups: Any, splitter: Any
) -> None:
    made = split(values, validation, problem=problem, groups=groups)
    wanted = list(splitter.split(np.zeros(ROWS), values, groups))
    assert len(made) == len(wanted)
    for ours, theirs in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
        if groups is not None:
            assert not set(groups[ours[0]]) & set(groups[ours[1]])


def test_a_time_series_is_split_in_the_order_of_its_times() -> None:
    validation = TimeSeries(method="time_series", time="t", folds=3, gap=2, test_rows=10, max_train_rows=20)
    made = split(NUMBERS, validation, problem="regression", times=TIMES)
    order = np.argsort(TIMES, kind="stable")
    wanted = model_selection.TimeSeriesSplit(3, gap=2, test_size=10, max_train_size=20).split(order)
    for ours, theirs in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(ours[0], order[theirs[0]])
        np.testing.assert_array_equal(ours[1], order[theirs[1]])
        assert TIMES[ours[0]].max() < TIMES[ours[1]].min()


@pytest.mark.parametrize(
    ("values", "validation", "more", "told"),
    [
        (NUMBERS, folds(group="g"), {"groups": GROUPS % 3}, "there are 3 groups, fewer than the 4 folds"),
        (NUMBERS, part(group="g"), {"groups": GROUPS * 0}, "can't be split like this"),
        (
            NUMBERS,
            TimeSeries(method="time_series", time="t", folds=5, gap=50),
            {"times": TIMES},
            "60 rows are too few for 5 folds of 10 rows in time after a gap of 50 rows",
        ),
        (
            NUMBERS,
            TimeSeries(method="time_series", time="t"),
            {"times": TIMES % 2},
            "2 different times, but 2 folds in time need 3 or more",
        ),
        (
            NUMBERS,
            TimeSeries(method="time_series", time="t", folds=2, max_train_rows=10),
            {"times": TIMES // 10},
            "`max_train_rows` of 10 is less than the 20 rows of one time",
        ),
        (np.full(ROWS, 2.5), folds(), {}, "2.5 in every row"),
        (NUMBERS[:5], folds(), {}, "5 rows are too few for 4 folds; there must be 8 or more, or at most 2 folds"),
    ],
)
def test_what_can_not_be_split_is_refused(values: Any, validation: Any, more: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.BadDataError, match=told):
        split(values, validation, problem="regression", **more)


@pytest.mark.parametrize(
    ("column", "told"), [([1] * ROWS, "every row has the label 'b'"), ([0] * ROWS, "no row has the label 'b'")]
)
def test_a_label_that_never_changes_is_refused(column: list[int], told: str) -> None:
    values = np.column_stack([np.arange(ROWS) % 2, column])
    with pytest.raises(errors.BadDataError, match=told):
        split(values, folds(), problem="multilabel", labels=["a", "b"])
