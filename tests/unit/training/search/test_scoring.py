"""Which metrics rank: every metric that is measured ranks or is known to describe only."""

import numpy as np
import pytest

from shared import scoring
from shared.ml import predictions
from shared.ml.metrics import measuring
from shared.training.estimators.spec import Problem

pytestmark = pytest.mark.slow

# What says how a model is, and not how good.
DESCRIBES = {
    "clustering": {"clusters", "noise_fraction"},
    "anomaly": {"anomaly_fraction"},
    "quantile": {"quantile_crossing", "fraction_below_0.5", "mean_pinball_loss_0.5", "fraction_below_0.9"}
    | {"mean_pinball_loss_0.9", "coverage", "mean_width"},
    "regression": {"coverage", "mean_width"},
}
DICE = np.random.default_rng(0)
TRUTH = DICE.normal(3, 1, 60)
SAID = TRUTH + DICE.normal(0, 0.3, 60)
FEATURES = np.repeat([[0.0, 0.0], [5.0, 5.0], [9.0, 0.0]], 20, axis=0) + DICE.normal(size=(60, 2))
MADE: dict[Problem, list[tuple[np.ndarray | None, predictions.Predictions, list[int]]]] = {
    "classification": [
        (np.arange(60) % 2, predictions.Predictions(np.arange(60) // 2 % 2, DICE.dirichlet([1, 1], 60)), [0, 1]),
        (np.arange(60) % 3, predictions.Predictions(np.arange(60) // 2 % 3, DICE.dirichlet([1, 1, 1], 60)), [0, 1, 2]),
    ],
    "multilabel": [
        (
            DICE.integers(0, 2, (60, 3)),
            predictions.Predictions(DICE.integers(0, 2, (60, 3)), DICE.random((60, 3))),
            [0, 1, 2],
        )
    ],
    "regression": [(TRUTH, predictions.Predictions(SAID, lower=SAID - 1, upper=SAID + 1), [])],
    "quantile": [(TRUTH, predictions.Predictions(SAID, quantiles=np.column_stack([SAID, SAID + 1])), [])],
    "clustering": [(None, predictions.Predictions(np.arange(60) // 20, features=FEATURES), [])],
    "anomaly": [(np.arange(60) % 2, predictions.Predictions(DICE.random(60) > 0.5, decision=DICE.random(60)), [])],
}


@pytest.mark.parametrize("problem", MADE)
def test_every_metric_that_is_measured_ranks_or_only_describes(problem: Problem) -> None:
    found: set[str] = set()
    for truth, made, classes in MADE[problem]:
        measured = measuring.measure(problem, truth=truth, predicted=made, classes=classes, levels=(0.5, 0.9)).keys()
        of_classes = {name for name in measured if scoring.is_for_class(name, problem=problem)}
        assert of_classes <= set(scoring.list_metrics(problem, classes=map(str, classes)))
        found |= measured - of_classes
    assert found == set(scoring.METRICS[problem]) | (DESCRIBES.get(problem, set()) & found)
    assert set(scoring.METRICS[problem]) <= found


@pytest.mark.parametrize("problem", [problem for problem in MADE if problem != "clustering"])
def test_better_predictions_are_ranked_higher(problem: Problem) -> None:
    truth, made, classes = MADE[problem][0]
    assert truth is not None
    best = {
        "classification": lambda: predictions.Predictions(truth, np.eye(2)[truth.astype(int)]),
        "multilabel": lambda: predictions.Predictions(truth, truth.astype(float)),
        "regression": lambda: predictions.Predictions(TRUTH),
        "quantile": lambda: predictions.Predictions(TRUTH, quantiles=np.column_stack([TRUTH, TRUTH])),
        "anomaly": lambda: predictions.Predictions(np.equal(truth, 1), decision=truth - 0.5),
    }[problem]()
    worse = measuring.measure(problem, truth=truth, predicted=made, classes=classes, levels=(0.5, 0.9))
    better = measuring.measure(problem, truth=truth, predicted=best, classes=classes, levels=(0.5, 0.9))
    for name, greatest in scoring.METRICS[problem].items():
        if name in worse:
            assert (better[name] > worse[name]) == greatest, name


def test_an_unknown_metric_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="regression has no metric 'accuracy'; these are: r2"):
        scoring.require_metric("accuracy", problem="regression")
