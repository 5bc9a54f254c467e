"""Curves and tables hold scikit-learn's numbers, thinned to a bounded size."""

import numpy as np
import pytest
from sklearn import calibration, metrics

from shared.figures import curves
from shared.ml.metrics import drawing

pytestmark = pytest.mark.slow


def ranked(*, size: int = 5_000, weighted: bool = False) -> drawing.ClassScores:
    """Make scores that partly follow from the truth."""
    random = np.random.default_rng(0)
    positive = random.random(size) < 0.3
    scores = np.clip(0.3 + 0.2 * positive + random.normal(scale=0.2, size=size), 0, 1)
    return drawing.ClassScores("yes", positive, scores, random.random(size) if weighted else None, is_probability=True)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_roc_curve_has_points_of_scikit_learns_and_nearly_its_area(weighted: bool) -> None:
    one = ranked(weighted=weighted)
    curve = drawing.compute_roc(one)
    false, true, thresholds = metrics.roc_curve(one.positive, one.scores, sample_weight=one.weights)
    points = set(zip(false.tolist(), true.tolist(), thresholds.tolist(), strict=True))
    shown = list(zip(curve.false_positive_rate, curve.true_positive_rate, curve.thresholds, strict=True))
    assert len(shown) == curves.MAX_POINTS
    assert set(shown[1:]) <= points
    assert shown[0] == (0.0, 0.0, None)
    assert shown[-1][:2] == (1.0, 1.0)
    area = metrics.auc(curve.false_positive_rate, curve.true_positive_rate)
    assert area == pytest.approx(metrics.roc_auc_score(one.positive, one.scores, sample_weight=one.weights), abs=1e-3)


def test_a_precision_recall_curve_has_points_of_scikit_learns() -> None:
    one = ranked()
    curve = drawing.compute_precision_recall(one)
    precision, recall, _ = metrics.precision_recall_curve(one.positive, one.scores)
    points = set(zip(precision.tolist(), recall.tolist(), strict=True))
    assert set(zip(curve.precision, curve.recall, strict=True)) <= points
    assert len(curve.precision) == curves.MAX_POINTS
    assert curve.thresholds[-1] is None


def test_a_short_curve_is_whole() -> None:
    one = drawing.ClassScores("yes", np.array([False, True, True]), np.array([0.2, 0.3, 0.9]))
    curve = drawing.compute_precision_recall(one)
    precision, recall, thresholds = metrics.precision_recall_curve(one.positive, one.scores, drop_intermediate=True)
    assert (curve.precision, curve.recall) == (precision.tolist(), recall.tolist())
    assert curve.thresholds == [*thresholds.tolist(), None]


def test_a_calibration_curve_is_scikit_learns() -> None:
    one = ranked()
    curve = drawing.compute_calibration_curve(one)
    true, predicted = calibration.calibration_curve(one.positive, one.scores, n_bins=10, strategy="quantile")
    assert (curve.fraction_true, curve.mean_predicted) == (true.tolist(), predicted.tolist())


def test_confusion_is_scikit_learns_with_the_classes_in_order() -> None:
    random = np.random.default_rng(0)
    truth, said = (np.array(["a", "b", "c"], dtype=object)[random.integers(3, size=100)] for _ in range(2))
    weights = random.random(100)
    found = drawing.compute_confusion(truth, said, classes=["a", "b", "c"], weights=weights)
    assert found.labels == ["a", "b", "c"]
    np.testing.assert_allclose(found.counts, metrics.confusion_matrix(truth, said, sample_weight=weights), atol=1e-12)


def test_rare_classes_are_counted_together() -> None:
    truth = np.repeat(np.arange(40), np.arange(41, 1, -1))
    found = drawing.compute_confusion(truth, truth, classes=list(range(40)))
    assert len(found.labels) == curves.MAX_LABELS + 1
    assert found.labels[-1] is None
    assert found.labels[:-1] == list(range(30))
    assert np.sum(found.counts) == len(truth)
    assert found.counts[-1][-1] == sum(range(2, 12))


def test_of_two_classes_only_the_last_is_drawn_and_of_many_the_commonest_ten() -> None:
    truth = np.array(["a", "b", "b"], dtype=object)
    [one] = drawing.select_class_scores(
        truth, classes=["a", "b"], probability=None, decision=np.array([-1.0, 2.0, 3.0])
    )
    assert (one.label, one.positive.tolist(), one.scores.tolist()) == ("b", [False, True, True], [-1.0, 2.0, 3.0])
    assert not one.is_probability
    many = np.repeat(np.arange(12), np.arange(13, 1, -1))
    drawn = drawing.select_class_scores(
        many, classes=list(range(12)), probability=np.full((len(many), 12), 1 / 12), decision=None
    )
    assert [one.label for one in drawn] == list(range(10))
    one_against_one = np.zeros((3, 6))
    assert (
        drawing.select_class_scores(truth, classes=["a", "b", "c", "d"], probability=None, decision=one_against_one)
        == []
    )


def test_residuals_are_truth_minus_prediction() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=1_000)
    said = truth + random.normal(scale=0.1, size=1_000)
    found = drawing.summarize_residuals(truth, said)
    np.testing.assert_array_equal(found.quantiles, np.quantile(truth - said, found.probabilities))
    assert sum(found.counts) == 1_000
    assert [part.rows for part in found.by_prediction] == [100] * 10
    lowest = np.argsort(said, kind="stable")[:100]
    assert found.by_prediction[0].mean_residual == pytest.approx(float((truth - said)[lowest].mean()), abs=1e-12)


def test_labels_quantiles_and_clusters_are_counted() -> None:
    truth, said = np.array([[1, 0], [1, 1], [0, 0]]), np.array([[1, 1], [0, 1], [0, 0]])
    first, second = drawing.count_labels(truth, said, labels=["x", "y"])
    assert (first.true_positive, first.false_negative, first.false_positive, first.true_negative) == (1, 1, 0, 1)
    assert (second.true_positive, second.false_positive) == (1, 1)
    [check] = drawing.check_quantiles(np.arange(10.0), np.full((10, 1), 4.0), quantiles=[0.5])
    assert (check.share_below, check.mean_prediction) == (0.5, 4.0)
    sizes = drawing.count_clusters(np.array([0, 1, 1, -1]))
    assert [(size.cluster, size.rows) for size in sizes] == [(1, 2), (-1, 1), (0, 1)]


def test_what_has_one_class_only_has_no_curve() -> None:
    assert not drawing.ClassScores("yes", np.array([True, True]), np.array([0.1, 0.2])).has_both
    assert not drawing.ClassScores("yes", np.array([True, False]), np.array([0.1, np.nan])).has_both
