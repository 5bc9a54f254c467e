"""Metrics agree with scikit-learn's, and what is undefined is left out."""

import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model, pipeline, preprocessing
from sklearn import metrics as reference

from shared import errors
from shared.ml.metrics import measuring

random = np.random.default_rng(0)


def test_binary_metrics_are_those_of_scikit_learn_with_the_last_class_positive() -> None:
    truth = np.array(["No", "Yes", "No", "Yes", "Yes", "No"], dtype=object)
    likely = np.array([0.1, 0.8, 0.6, 0.7, 0.4, 0.2])
    said = np.where(likely > 0.5, "Yes", "No").astype(object)
    found = measuring.score(
        "classification",
        truth=truth,
        prediction=said,
        probability=np.column_stack([1 - likely, likely]),
        classes=["No", "Yes"],
    )
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(truth == "Yes", likely))
    assert found["average_precision"] == pytest.approx(reference.average_precision_score(truth == "Yes", likely))
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth == "Yes", likely))
    assert found["f1"] == pytest.approx(reference.f1_score(truth, said, pos_label="Yes"))
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["accuracy"] == pytest.approx(4 / 6)


def test_the_area_over_many_classes_is_one_against_the_rest_weighted_by_rows() -> None:
    truth = random.integers(0, 3, size=200)
    probability = random.dirichlet([1, 1, 1], size=200) + np.eye(3)[truth]
    probability /= probability.sum(axis=1, keepdims=True)
    found = measuring.score(
        "classification",
        truth=truth,
        prediction=probability.argmax(axis=1),
        probability=probability,
        classes=[0, 1, 2],
    )
    wanted = reference.roc_auc_score(truth, probability, multi_class="ovr", average="weighted")
    assert found["roc_auc"] == found["roc_auc_ovr_weighted"] == pytest.approx(wanted)
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, probability))
    assert "f1" not in found


def test_a_margin_ranks_where_there_are_no_probabilities() -> None:
    truth = np.array([False, True, True, False])
    margin = np.array([-1.0, 3.0, -0.5, -2.0])
    found = measuring.score(
        "classification", truth=truth, prediction=margin > 0, decision=margin, classes=[False, True]
    )
    assert found["roc_auc"] == 1.0
    assert "log_loss" not in found


def test_rows_of_one_class_have_no_area_but_an_accuracy() -> None:
    found = measuring.score(
        "classification",
        truth=np.array(["a", "a"], dtype=object),
        prediction=np.array(["a", "b"], dtype=object),
        probability=np.array([[0.9, 0.1], [0.2, 0.8]]),
        classes=["a", "b"],
    )
    assert "roc_auc" not in found
    assert found["accuracy"] == 0.5
    assert all(np.isfinite(value) for value in found.values())


def test_a_class_that_the_model_never_saw_counts_as_wrong_and_has_no_log_loss() -> None:
    found = measuring.score(
        "classification",
        truth=np.array(["a", "b", "c"], dtype=object),
        prediction=np.array(["a", "b", "b"], dtype=object),
        probability=np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]),
        classes=["a", "b"],
    )
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert "log_loss" not in found


def test_regression_errors_are_positive_and_named_as_scikit_learn_names_them() -> None:
    truth, prediction = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])
    found = measuring.score("regression", truth=truth, prediction=prediction)
    assert found["r2"] == pytest.approx(reference.r2_score(truth, prediction))
    assert found["root_mean_squared_error"] == pytest.approx(np.sqrt(1.25 / 3))
    assert found["mean_absolute_error"] == pytest.approx(0.5)
    assert found["mean_absolute_percentage_error"] == pytest.approx(0.25)


def test_a_constant_truth_has_no_r2_and_zeros_no_percentage() -> None:
    found = measuring.score("regression", truth=np.zeros(3), prediction=np.array([0.0, 1.0, 0.0]))
    assert "r2" not in found
    assert "mean_absolute_percentage_error" not in found
    assert found["max_error"] == 1.0


def test_predictions_that_are_not_finite_are_the_models_fault() -> None:
    with pytest.raises(errors.BadModelError, match="predicts 1 of 2 values that are not finite"):
        measuring.score("regression", truth=np.zeros(2), prediction=np.array([np.inf, 1.0]))


def test_no_rows_are_the_datas_fault() -> None:
    with pytest.raises(errors.BadDataError, match="no rows to score"):
        measuring.score("regression", truth=np.zeros(0), prediction=np.zeros(0))


@pytest.mark.parametrize("learner", [linear_model.LogisticRegression(), linear_model.RidgeClassifier()])
def test_a_pipeline_gives_probabilities_or_else_margins(learner: object) -> None:
    features = pd.DataFrame(random.normal(size=(40, 2)), columns=["a", "b"])
    truth = features["a"].to_numpy() > 0
    model = pipeline.Pipeline([("recipe", preprocessing.StandardScaler()), ("estimator", learner)])
    found = measuring.predict(model.fit(features, truth), features, problem="classification")
    assert np.array_equal(found.prediction, model.predict(features))
    if isinstance(learner, linear_model.LogisticRegression):
        assert found.probability is not None
        assert found.probability.shape == (40, 2)
    else:
        assert found.decision is not None
        assert found.decision.shape == (40,)
