"""The threshold that is chosen is the best there is, by scikit-learn's own numbers."""

import numpy as np
import pytest
from sklearn import datasets, linear_model, metrics, model_selection

from shared.training import refinements
from workers.training.threshold import MAX_POINTS, choose_threshold

pytestmark = pytest.mark.slow

SCORES = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "f1": metrics.f1_score,
    "f2": lambda truth, said, **given: metrics.fbeta_score(truth, said, beta=2, **given),
    "matthews_corrcoef": metrics.matthews_corrcoef,
}


def rows(*, seed: int = 0, size: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make scores that partly follow from the truth, with ties; return them with the truth and weights."""
    random = np.random.default_rng(seed)
    truth = random.random(size) < 0.3
    scores = np.round(np.clip(0.3 + 0.2 * truth + random.normal(scale=0.2, size=size), 0, 1), 2)
    return scores, truth, random.integers(1, 4, size=size).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", sorted(SCORES))
def test_no_other_threshold_is_better_by_scikit_learns_metric(metric: str, weighted: bool) -> None:
    scores, truth, weights = rows()
    given = {"sample_weight": weights} if weighted else {}
    wanted = refinements.Threshold.model_validate({"maximise": metric})
    choice = choose_threshold(scores, positive=truth, settings=wanted, weights=weights if weighted else None)
    assert choice.score == pytest.approx(SCORES[metric](truth, scores >= choice.value, **given), abs=1e-9)
    others = [SCORES[metric](truth, scores >= other, **given) for other in np.linspace(-0.1, 1.1, 500)]
    assert choice.score >= max(others) - 1e-12


def test_each_point_of_the_curve_is_scikit_learns_metric_there() -> None:
    scores, truth, _ = rows(size=2_000)
    choice = choose_threshold(scores, positive=truth, settings=refinements.Threshold(maximise="f1"))
    assert len(choice.thresholds) <= MAX_POINTS
    assert choice.value in choice.thresholds
    direct = [metrics.f1_score(truth, scores >= height, zero_division=0) for height in choice.thresholds]
    np.testing.assert_allclose(choice.scores, direct, atol=1e-9)


def test_it_is_at_least_as_good_as_what_scikit_learn_chooses() -> None:
    features, truth = datasets.make_classification(400, weights=[0.8], flip_y=0.2, random_state=0)
    model = linear_model.LogisticRegression().fit(features, truth)
    tuned = model_selection.TunedThresholdClassifierCV(model, scoring="f1", cv="prefit", refit=False)
    tuned.fit(features, truth)
    scores = model.predict_proba(features)[:, 1]
    choice = choose_threshold(scores, positive=truth == 1, settings=refinements.Threshold(maximise="f1"))
    assert choice.score >= tuned.best_score_ - 1e-12
    assert choice.score == pytest.approx(tuned.best_score_, abs=0.02)


def test_costs_are_the_least_of_all_thresholds_counted_by_hand() -> None:
    scores, truth, _ = rows()
    costs = refinements.Costs(false_positive=1.0, false_negative=5.0, true_positive=-0.5)
    choice = choose_threshold(scores, positive=truth, settings=refinements.Threshold(costs=costs))

    def cost(height: float) -> float:
        said = scores >= height
        return float(np.mean(1.0 * (said & ~truth) + 5.0 * (~said & truth) - 0.5 * (said & truth)))

    assert choice.metric == "mean_cost"
    assert choice.score == pytest.approx(cost(choice.value), abs=1e-12)
    assert choice.score <= min(cost(other) for other in np.linspace(-0.1, 1.1, 500)) + 1e-12


def test_never_saying_yes_is_a_choice_when_a_false_alarm_costs_too_much() -> None:
    scores, _, _ = rows()
    truth = scores < 0.2  # The higher the score, the less likely a yes.
    costs = refinements.Costs(false_positive=1000.0, false_negative=0.001)
    choice = choose_threshold(scores, positive=truth, settings=refinements.Threshold(costs=costs))
    assert not (scores >= choice.value).any()


def test_a_threshold_lies_between_the_scores_that_it_parts() -> None:
    scores = np.array([0.1, 0.2, 0.6, 0.8])
    choice = choose_threshold(
        scores, positive=np.array([False, False, True, True]), settings=refinements.Threshold(maximise="f1")
    )
    assert choice.value == pytest.approx(0.4)
    neighbours = np.array([0.5, np.nextafter(0.5, 1)])
    choice = choose_threshold(
        neighbours, positive=np.array([False, True]), settings=refinements.Threshold(maximise="accuracy")
    )
    assert (neighbours >= choice.value).tolist() == [False, True]
