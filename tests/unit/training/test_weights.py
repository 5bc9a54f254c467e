"""Weights of rows and classes reach the fit and the metrics, the same as in scikit-learn."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import ensemble, linear_model, metrics, model_selection, naive_bayes, tree
from sklearn.utils import class_weight

from shared import errors
from shared.ml import artifacts
from shared.recipe.language import Recipe
from shared.recipe.numbers import Impute
from shared.training import refinements
from shared.training.validations import HoldOut
from tests.unit.training import tables

random = np.random.default_rng(0)
FRAME = pd.DataFrame(random.normal(size=(120, 2)), columns=["a", "b"])
FRAME["kind"] = np.where(FRAME["a"] + random.normal(size=120) > 0.8, "rare", "usual").astype(object)
FRAME["weight"] = random.uniform(0.1, 3, size=120)
PLAIN = Recipe(steps=[Impute(op="impute", columns=["a", "b"])])
PART = HoldOut(method="hold_out", seed=1)
X, Y = FRAME[["a", "b"]].to_numpy(), FRAME["kind"].to_numpy()


def train(folder: Path, name: str, **more: Any) -> Any:
    """Train on the frame, and give the result and the fitted estimator."""
    given: dict[str, Any] = {"target": "kind", "wanted": PLAIN, "validation": PART} | more
    without = () if "sample_weight" in more else ("weight",)
    found = tables.train(FRAME, folder, name=name, without=without, **given)
    return found, artifacts.load(folder / "model.skops", sha256=found.sha256)[-1]


@pytest.mark.parametrize("weights", ["balanced", {"rare": 5.0, "usual": 1.0}, {"rare": 5.0}])
def test_an_estimator_with_class_weights_gets_them(tmp_path: Path, weights: Any) -> None:
    _, fitted = train(tmp_path, "LogisticRegression", class_weight=weights)
    direct = linear_model.LogisticRegression(class_weight=weights, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(fitted.coef_, direct.coef_)


@pytest.mark.parametrize("weights", ["balanced", {"rare": 5.0, "usual": 1.0}, {"rare": 5.0}])
def test_another_gets_each_rows_weight_by_its_class(tmp_path: Path, weights: Any) -> None:
    _, fitted = train(tmp_path, "GaussianNB", class_weight=weights)
    by_class = class_weight.compute_sample_weight(weights, Y)
    direct = naive_bayes.GaussianNB().fit(X, Y, sample_weight=by_class)
    np.testing.assert_array_equal(fitted.theta_, direct.theta_)
    assert not np.array_equal(direct.theta_, naive_bayes.GaussianNB().fit(X, Y).theta_)


def test_weights_of_rows_and_of_classes_are_multiplied(tmp_path: Path) -> None:
    _, fitted = train(tmp_path, "GaussianNB", class_weight="balanced", sample_weight="weight")
    by_class = class_weight.compute_sample_weight("balanced", Y)
    direct = naive_bayes.GaussianNB().fit(X, Y, sample_weight=by_class * FRAME["weight"].to_numpy())
    np.testing.assert_array_equal(fitted.theta_, direct.theta_)


@pytest.mark.parametrize("name", ["LogisticRegression", "DecisionTreeClassifier"])
def test_rows_weigh_in_the_fit_and_in_the_metrics(tmp_path: Path, name: str) -> None:
    found, fitted = train(tmp_path, name, sample_weight="weight", params={} if name[0] == "L" else {"max_depth": 2})
    weights = FRAME["weight"].to_numpy()
    direct: Any = (
        linear_model.LogisticRegression(random_state=0)
        if name == "LogisticRegression"
        else tree.DecisionTreeClassifier(max_depth=2, random_state=0)
    )
    [(train_rows, rows)] = model_selection.StratifiedShuffleSplit(1, test_size=0.2, random_state=1).split(X, Y)
    direct.fit(X[train_rows], Y[train_rows], sample_weight=weights[train_rows])
    probability = direct.predict_proba(X[rows])
    wanted = {
        "accuracy": metrics.accuracy_score(Y[rows], direct.predict(X[rows]), sample_weight=weights[rows]),
        "log_loss": metrics.log_loss(Y[rows], probability, sample_weight=weights[rows]),
        # The positive class is the last one.
        "roc_auc": metrics.roc_auc_score(Y[rows] == "usual", probability[:, 1], sample_weight=weights[rows]),
    }
    for metric, value in wanted.items():
        assert found.metrics[metric].mean == pytest.approx(value, abs=1e-9)
    direct.fit(X, Y, sample_weight=weights)
    np.testing.assert_array_equal(fitted.predict_proba(X), direct.predict_proba(X))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([-1.0] * 120, "goes from -1 to -1; weights must be 0 or more"),
        ([0.0] * 120, "goes from 0 to 0"),
        ([None, *[1.0] * 119], "the sample_weight 'weight' is missing in 1 of 120 rows"),
        (["heavy"] * 120, "must be a column of numbers"),
    ],
)
def test_what_is_no_weight_is_refused(tmp_path: Path, values: list[Any], told: str) -> None:
    with pytest.raises(errors.BadDataError, match=told):
        tables.train(FRAME.assign(weight=values), tmp_path, target="kind", name="GaussianNB", sample_weight="weight")


def test_an_absent_weight_is_named_with_close_matches(tmp_path: Path) -> None:
    with pytest.raises(errors.BadDataError, match=r"sample_weight is missing: column 'wait' .*did you mean 'weight'"):
        tables.train(FRAME, tmp_path, target="kind", name="GaussianNB", sample_weight="wait")


def test_a_weight_for_a_class_that_is_none_is_refused_also_when_rows_carry_it(tmp_path: Path) -> None:
    with pytest.raises(errors.BadModelError, match=r"class_weight names 'Maybe'.*the classes are rare, usual"):
        train(tmp_path, "GaussianNB", class_weight={"Maybe": 2.0})


def test_early_stopping_ends_the_rounds(tmp_path: Path) -> None:
    stopping = refinements.EarlyStopping(rounds=2, fraction=0.3, tolerance=0.01)
    _, fitted = train(tmp_path, "GradientBoostingClassifier", params={"n_estimators": 200}, early_stopping=stopping)
    direct = ensemble.GradientBoostingClassifier(
        n_estimators=200, n_iter_no_change=2, validation_fraction=0.3, tol=0.01, random_state=0
    ).fit(X, Y)
    assert fitted.n_estimators_ == direct.n_estimators_ < 200
    np.testing.assert_array_equal(fitted.predict_proba(X), direct.predict_proba(X))
    found, _ = train(tmp_path, "SGDClassifier", early_stopping=stopping)
    assert found.parameters["early_stopping"] is True
