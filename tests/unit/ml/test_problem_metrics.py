"""The metrics of labels, quantiles, intervals, clusters and anomalies are scikit-learn's, weighted where it can."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from shared import errors
from shared.ml.metrics import measuring

random = np.random.default_rng(0)
ROWS = 80
WEIGHTS = random.uniform(0.2, 2, size=ROWS)
WEIGHTINGS = pytest.mark.parametrize("weights", [None, WEIGHTS])


@WEIGHTINGS
@pytest.mark.parametrize("count", [2, 4])
def test_of_one_label(weights: Any, count: int) -> None:
    truth, said = random.integers(0, count, size=(2, ROWS))
    # A class that is never true, one that is never said, and scores that are often equal.
    truth[truth == 3], said[said == 2] = 0, 0
    probability = np.round(random.dirichlet(np.ones(count), size=ROWS), 1) + 0.1
    made = measuring.Predictions(said, decision=probability[:, 1] if count == 2 else None)
    found = measuring.measure("classification", truth=truth, predicted=made, classes=[*range(count)], weights=weights)
    given = {"sample_weight": weights}
    wanted = {
        "accuracy": reference.accuracy_score(truth, said, **given),
        "f1_macro": reference.f1_score(truth, said, average="macro", zero_division=0, **given),
        "matthews_corrcoef": reference.matthews_corrcoef(truth, said, **given),
    }
    if count == 2:
        wanted |= {
            "balanced_accuracy": reference.balanced_accuracy_score(truth, said, **given),
            "f1": reference.f1_score(truth, said, **given),
            "precision": reference.precision_score(truth, said, **given),
            "recall": reference.recall_score(truth, said, **given),
            "roc_auc": reference.roc_auc_score(truth, probability[:, 1], **given),
            "average_precision": reference.average_precision_score(truth, probability[:, 1], **given),
        }
    else:
        per_class = [
            np.average(said[truth == label] == label, weights=_of(weights, truth == label)) for label in range(3)
        ]
        wanted["balanced_accuracy"] = np.mean(per_class)
        wanted["f1_weighted"] = reference.f1_score(truth, said, average="weighted", zero_division=0, **given)
    for label in range(count):
        named = given | {"labels": [label], "average": None, "zero_division": 0}
        wanted[f"precision_{label}"] = reference.precision_score(truth, said, **named)[0]
        if label != 3:
            wanted[f"recall_{label}"] = reference.recall_score(truth, said, **named)[0]
            wanted[f"f1_{label}"] = reference.f1_score(truth, said, **named)[0]
    assert found == pytest.approx(wanted, abs=1e-12, rel=0)


LABELLED: list[tuple[list[Any], Any]] = [
    (["fraud", "ok"], "fraud"),
    (["fraud", "ok"], "ok"),
    ([False, True], False),
    ([0, 1], 0),
    ([1, 2], 1),
]


@WEIGHTINGS
@pytest.mark.parametrize(("classes", "positive"), LABELLED)
@pytest.mark.parametrize("kind", ["probability", "decision"])
def test_of_a_positive_class(weights: Any, classes: list[Any], positive: Any, kind: str) -> None:
    labels = np.array(classes, dtype=object if isinstance(classes[0], str) else None)
    dice = np.random.default_rng(5)
    truth, said = labels[dice.integers(0, 2, size=(2, ROWS))]
    share = np.round(dice.random(ROWS), 1)
    scores = {"probability": np.column_stack([1 - share, share]), "decision": share - 0.4}
    found = measuring.measure(
        "classification",
        truth=truth,
        predicted=measuring.Predictions(said, **{kind: scores[kind]}),
        classes=classes,
        positive=positive,
        weights=weights,
    )
    given: dict[str, Any] = {"sample_weight": weights, "pos_label": positive}
    plain_truth, plain_said = (np.array(values.tolist()) for values in (truth, said))
    assert found["recall"] == pytest.approx(reference.recall_score(plain_truth, plain_said, **given))
    assert found["precision"] == pytest.approx(reference.precision_score(plain_truth, plain_said, **given))
    assert found["f1"] == pytest.approx(reference.f1_score(plain_truth, plain_said, **given))
    ranked = share if positive == classes[1] else 1 - share
    precision = reference.average_precision_score(plain_truth, ranked, **given)
    area = reference.roc_auc_score(plain_truth == positive, ranked, sample_weight=weights)
    assert [found["average_precision"], found["roc_auc"]] == pytest.approx([precision, area])
    name = str(positive).lower()
    assert [found[f"{metric}_{name}"] for metric in ("recall", "precision", "f1")] == [
        found[metric] for metric in ("recall", "precision", "f1")
    ]


def test_a_class_called_like_an_average_never_takes_its_place() -> None:
    truth = np.array(["macro", "macro", "weighted", "weighted"], dtype=object)
    said = np.array(["macro", "weighted", "weighted", "weighted"], dtype=object)
    found = measuring.measure(
        "classification", truth=truth, predicted=measuring.Predictions(said), classes=["macro", "weighted"]
    )
    assert found["f1_macro"] == pytest.approx(reference.f1_score(truth, said, average="macro"))
    assert "f1_weighted" not in found, "with two classes there is no weighted average"
    assert (found["recall_macro"], found["recall_weighted"]) == (0.5, 1.0)


def test_many_classes_have_no_metrics_of_their_own() -> None:
    truth = np.arange(31)
    found = measuring.measure(
        "classification", truth=truth, predicted=measuring.Predictions(truth), classes=[*range(31)]
    )
    assert not {name for name in found if name.endswith("_3")}


def _of(weights: Any, rows: Any) -> Any:
    return None if weights is None else weights[rows]


def test_labels_that_are_all_one_class_have_no_correlation_and_what_is_never_said_no_precision() -> None:
    made = measuring.Predictions(np.array([0, 0, 0]))
    found = measuring.measure("classification", truth=np.array([0, 1, 0]), predicted=made, classes=[0, 1])
    assert (found["matthews_corrcoef"], found["precision"], found["recall"], found["f1"]) == (0.0, 0.0, 0.0, 0.0)
    found = measuring.measure("classification", truth=np.array([0, 0, 0]), predicted=made, classes=[0, 1])
    assert "recall" not in found


@WEIGHTINGS
def test_of_many_labels(weights: Any) -> None:
    truth = random.integers(0, 2, size=(ROWS, 3))
    probability = np.clip(truth * 0.3 + random.random((ROWS, 3)) * 0.7, 0, 1)
    said = (probability > 0.5).astype(int)
    made = measuring.Predictions(said, probability=probability)
    found = measuring.measure("multilabel", truth=truth, predicted=made, classes=["a", "b", "c"], weights=weights)
    given = {"sample_weight": weights}
    assert found == pytest.approx(
        {
            "accuracy": reference.accuracy_score(truth, said, **given),
            "hamming_loss": reference.hamming_loss(truth, said, **given),
            "f1_micro": reference.f1_score(truth, said, average="micro", **given),
            "f1_macro": reference.f1_score(truth, said, average="macro", **given),
            "f1_samples": reference.f1_score(truth, said, average="samples", zero_division=1, **given),
            "jaccard_samples": reference.jaccard_score(truth, said, average="samples", zero_division=1, **given),
            "precision_micro": reference.precision_score(truth, said, average="micro", **given),
            "recall_micro": reference.recall_score(truth, said, average="micro", **given),
            "roc_auc_macro": reference.roc_auc_score(truth, probability, average="macro", **given),
            "average_precision_macro": reference.average_precision_score(truth, probability, **given),
        },
        abs=1e-12,
    )


def test_a_row_without_labels_that_is_given_none_is_right() -> None:
    truth = np.array([[0, 0], [1, 0], [0, 0]])
    perfect = measuring.measure("multilabel", truth=truth, predicted=measuring.Predictions(truth), classes=["a", "b"])
    assert (perfect["f1_samples"], perfect["jaccard_samples"]) == (1.0, 1.0)
    said = np.array([[0, 0], [1, 0], [0, 1]])
    found = measuring.measure("multilabel", truth=truth, predicted=measuring.Predictions(said), classes=["a", "b"])
    assert (found["f1_samples"], found["jaccard_samples"]) == pytest.approx((2 / 3, 2 / 3))


@WEIGHTINGS
def test_of_quantiles_and_intervals(weights: Any) -> None:
    truth = random.normal(size=ROWS)
    quantiles = np.column_stack([truth - 1, truth + random.normal(size=ROWS) * 0.1, truth + 0.5])
    quantiles[:4, 2] = -9.0
    made = measuring.Predictions(quantiles[:, 1], quantiles=quantiles, lower=truth - 1, upper=truth + 1)
    found = measuring.measure("quantile", truth=truth, predicted=made, levels=[0.1, 0.5, 0.9], weights=weights)
    for place, level in enumerate((0.1, 0.5, 0.9)):
        wanted = reference.mean_pinball_loss(truth, quantiles[:, place], alpha=level, sample_weight=weights)
        assert found[f"mean_pinball_loss_{level:g}"] == pytest.approx(wanted)
    assert found["quantile_crossing"] == pytest.approx(4 / ROWS)
    assert found["fraction_below_0.1"] == 0.0
    assert found["coverage"] == 1.0
    assert found["mean_width"] == pytest.approx(2.0)


@WEIGHTINGS
def test_of_anomalies_with_and_without_a_truth(weights: Any) -> None:
    truth = (random.random(ROWS) < 0.3).astype(int)
    score = truth * 0.4 + random.normal(size=ROWS) * 0.3
    made = measuring.Predictions(score > 0, decision=score)
    whole = measuring.measure("anomaly", truth=truth, predicted=made, weights=weights)
    given = {"sample_weight": weights}
    assert whole["roc_auc"] == pytest.approx(reference.roc_auc_score(truth, score, **given))
    assert whole["f1"] == pytest.approx(reference.f1_score(truth, score > 0, **given))
    assert whole["anomaly_fraction"] == pytest.approx(np.average(score > 0, weights=weights))
    half = np.where(np.arange(ROWS) < 40, truth, -1)
    known = None if weights is None else weights[:40]
    found = measuring.measure("anomaly", truth=half, predicted=made, weights=weights)
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(truth[:40], score[:40], sample_weight=known))
    for nothing in (None, np.full(ROWS, -1)):
        assert list(measuring.measure("anomaly", truth=nothing, predicted=made, weights=weights)) == [
            "anomaly_fraction"
        ]


def test_of_clusters_leaves_noise_out() -> None:
    labels = random.integers(-1, 3, size=ROWS)
    features = random.normal(size=(ROWS, 2)) + labels[:, None]
    found = measuring.measure("clustering", truth=None, predicted=measuring.Predictions(labels, features=features))
    inside = labels >= 0
    assert found["silhouette"] == pytest.approx(reference.silhouette_score(features[inside], labels[inside]))
    assert found["noise_fraction"] == pytest.approx(np.mean(~inside))
    assert found["clusters"] == 3


@pytest.mark.parametrize("labels", [np.zeros(5, dtype=int), np.full(5, -1), np.arange(5)])
def test_too_few_or_too_many_clusters_have_only_counts(labels: Any) -> None:
    made = measuring.Predictions(labels, features=random.normal(size=(5, 2)))
    assert set(measuring.measure("clustering", truth=None, predicted=made)) == {"clusters", "noise_fraction"}


def test_a_large_silhouette_is_a_seeded_sample() -> None:
    labels = random.integers(0, 2, size=5000)
    features = random.normal(size=(5000, 2)) + 3 * labels[:, None]
    made = measuring.Predictions(labels, features=features)
    first, again = (measuring.measure("clustering", truth=None, predicted=made)["silhouette"] for _ in range(2))
    wanted = reference.silhouette_score(features, labels, sample_size=4000, random_state=0)
    assert first == again == wanted


def test_a_score_that_is_not_finite_is_the_models_fault() -> None:
    made = measuring.Predictions(np.array([True, False]), decision=np.array([np.inf, 0.0]))
    with pytest.raises(errors.BadModelError, match="1 of 2 values that are not finite"):
        measuring.measure("anomaly", truth=None, predicted=made)


def test_parts_are_joined_in_their_order() -> None:
    parts = [measuring.Predictions(np.array([n, n]), decision=np.array([-n, -n])) for n in (1, 2)]
    joined = measuring.Predictions.concatenate(parts)
    assert joined.prediction.tolist() == [1, 1, 2, 2]
    assert joined.probability is None
    assert joined.decision is not None
    assert joined.decision.tolist() == [-1, -1, -2, -2]
