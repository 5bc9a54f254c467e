"""When a value's own model is called better: by more than the paired differences vary over the folds."""

import statistics
from collections.abc import Sequence

import pytest

from shared.training import segments
from workers.training.segments import verdicts


def scores(values: Sequence[float | None], *, rows: int = 10, **more: Sequence[float | None]) -> segments.SegmentScores:
    """Make the scores of a value in a few folds of as many rows."""
    metrics = {"roc_auc": [*values]} | {name: [*folds] for name, folds in more.items()}
    return segments.SegmentScores(value="north", rows=[rows] * len(values), metrics=metrics)


def compare(
    own: segments.SegmentScores,
    common: segments.SegmentScores,
    *,
    metric: str = "roc_auc",
    problem: str = "classification",
) -> segments.Comparison:
    """Compare scores."""
    return verdicts.compare(own, common, metric=metric, problem=problem)


@pytest.mark.parametrize(
    ("own", "common", "verdict"),
    [
        ([0.9, 0.8, 0.85], [0.7, 0.65, 0.6], "own"),
        ([0.7, 0.65, 0.6], [0.9, 0.8, 0.85], "common"),
        ([0.9, 0.5, 0.7], [0.6, 0.7, 0.65], "unclear"),
        ([0.7, 0.7, 0.7], [0.7, 0.7, 0.7], "unclear"),
        ([0.9, None, 0.85], [0.7, 0.6, 0.6], "own"),
        ([0.9, None, None], [0.7, 0.6, 0.6], "unclear"),
        ([None, None, None], [0.7, 0.6, 0.6], "unclear"),
    ],
)
def test_the_difference_must_exceed_its_spread(
    own: list[float | None], common: list[float | None], verdict: str
) -> None:
    compared = compare(scores(own), scores(common))
    assert compared.verdict == verdict
    differences = [a - b for a, b in zip(own, common, strict=True) if a is not None and b is not None]
    assert compared.difference == (pytest.approx(statistics.fmean(differences)) if differences else None)
    assert compared.spread == (pytest.approx(statistics.stdev(differences)) if len(differences) > 1 else None)
    assert compared.rows == 10 * len(differences)


def test_of_errors_the_smaller_is_better() -> None:
    own, common = scores([], mean_absolute_error=[1.0, 1.1]), scores([], mean_absolute_error=[2.0, 2.2])
    own, common = (given.model_copy(update={"rows": [5, 5]}) for given in (own, common))
    compared = compare(own, common, metric="mean_absolute_error", problem="regression")
    assert compared.verdict == "own"
    assert compared.difference == pytest.approx(1.05)


def test_means_are_over_the_folds_where_both_models_have_the_metric() -> None:
    own, common = scores([0.9, None], f1=[0.5, 0.7]), scores([0.7, 0.1], f1=[0.4, 0.4], recall=[1.0, 1.0])
    compared = compare(own, common)
    assert compared.own == pytest.approx({"roc_auc": 0.9, "f1": 0.6})
    assert compared.common == pytest.approx({"roc_auc": 0.7, "f1": 0.4})


def test_values_count_by_their_rows() -> None:
    few = compare(scores([0.9, 0.9], rows=10), scores([0.5, 0.5], rows=10))
    many = compare(scores([0.6, 0.7], rows=30), scores([0.7, 0.8], rows=30))
    overall = verdicts.summarize([few, many], metric="roc_auc", problem="classification")
    assert overall.rows == 80
    assert overall.own == pytest.approx((10 * 0.9 + 30 * 0.6 + 10 * 0.9 + 30 * 0.7) / 80)
    assert overall.common == pytest.approx((10 * 0.5 + 30 * 0.7 + 10 * 0.5 + 30 * 0.8) / 80)
    assert overall.difference == pytest.approx(0.025)
    assert overall.verdict == "own"


def test_the_metric_that_decides_is_the_first_that_the_model_for_all_has() -> None:
    assert verdicts.choose_metric("classification", {"roc_auc": 0.7, "accuracy": 0.6}) == "roc_auc"
    assert verdicts.choose_metric("classification", {"roc_auc": None, "accuracy": 0.6}) == "accuracy"
