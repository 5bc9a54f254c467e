"""What columns add to a prediction adds up to what the estimator itself computes, for each that can be taken apart."""

import importlib.util
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import calibration, ensemble, model_selection, pipeline, svm

from shared import contract, errors
from shared.ml import frames, light_gbm, quantile_models
from shared.ml.contributions import explainer, margins
from shared.ml.contributions.explainer import Explainer
from shared.ml.recipes import compiling
from shared.training.estimators import allow_list
from tests.unit.ml import tables
from tests.unit.training.tables import estimator as describe
from workers.training import models

ROWS = 250
LINEAR_CLASSIFIERS = [
    "LinearDiscriminantAnalysis", "LinearSVC", "LogisticRegression", "Perceptron", "RidgeClassifier", "SGDClassifier",
]  # fmt: skip
LINEAR_REGRESSORS = [
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "GammaRegressor", "HuberRegressor", "Lars", "Lasso",
    "LassoCV", "LassoLars", "LassoLarsIC", "LinearRegression", "LinearSVR", "OrthogonalMatchingPursuit",
    "PLSRegression", "PoissonRegressor", "QuantileRegressor", "Ridge", "RidgeCV", "SGDRegressor", "TheilSenRegressor",
    "TweedieRegressor",
]  # fmt: skip
TREES = [
    f"{kind}{sort}"
    for kind in ("DecisionTree", "ExtraTree", "ExtraTrees", "GradientBoosting", "HistGradientBoosting", "RandomForest")
    for sort in ("Classifier", "Regressor")
]
KERNELS = ["NuSVC", "NuSVR", "SVC", "SVR"]
"""With a linear kernel."""
LIGHT_GBM = ["LGBMClassifier", "LGBMRegressor"]
PARAMS: dict[str, dict[str, Any]] = {
    # One-hot columns are collinear, and without a bound it takes weights beyond what float64 can add up.
    "Lars": {"n_nonzero_coefs": 8},
    **{name: {"kernel": "linear"} for name in KERNELS},
    "NuSVC": {"kernel": "linear", "nu": 0.2},
    "NuSVR": {"kernel": "linear", "max_iter": 1000},
}


class Prepared:
    """Rows of Telco churn, and what the inferred recipe makes of them."""

    def __init__(self, folder: Any) -> None:
        dataset = tables.telco(folder / "telco.parquet")
        pd.read_parquet(dataset).head(ROWS).to_parquet(dataset, index=False)
        whole = frames.read_frame(dataset)
        given: list[contract.Column] = [
            column for column in frames.read_columns(dataset) if column.name not in ("Churn", "customerID")
        ]
        self.names = [column.name for column in given]
        self.frame = whole[self.names]
        recipe = compiling.infer_recipe(self.frame, columns=given, target=None).recipe
        self.recipe = compiling.compile_recipe(recipe, columns=given, numbers_only=True).fit(self.frame)
        self.features = np.asarray(self.recipe.transform(self.frame), dtype=np.float64)
        kinds = np.where(self.frame["tenure"] > 40, "old", np.where(self.frame["MonthlyCharges"] > 60, "dear", "cheap"))
        amounts = (self.frame["tenure"] * self.frame["MonthlyCharges"] / 100 + 1).to_numpy()
        self.targets = {"two": whole["Churn"].to_numpy(), "three": kinds.astype(object), "number": amounts}

    def fit(self, estimator: Any, target: str) -> pipeline.Pipeline:
        with warnings.catch_warnings():
            # A few rounds are enough for a test, if not for the estimator.
            warnings.simplefilter("ignore")
            fitted = estimator.fit(self.features, self.targets[target])
        return self.wrap(fitted)

    def wrap(self, fitted: Any) -> pipeline.Pipeline:
        return pipeline.Pipeline([("recipe", self.recipe), ("estimator", fitted)])

    def explain(self, model: pipeline.Pipeline, target: str) -> tuple[Explainer, explainer.Contributions, list[Any]]:
        problem = "regression" if target == "number" else "classification"
        found = Explainer(model, problem=problem, columns=self.names)
        labels = model[-1].predict(self.features).tolist()
        return found, found.explain(self.frame, labels), labels


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("explained"))


def make(name: str) -> Any:
    small: dict[str, Any] = {"n_estimators": 5, "random_state": 0, "max_iter": 20, **PARAMS.get(name, {})}
    chosen = {key: value for key, value in small.items() if key in allow_list.specs()[name].parameters}
    return models.make_estimator(describe(name, chosen), seed=0)


def compute_margin(fitted: Any, features: Any, labels: list[Any], scale: str) -> Any:
    """Compute by the estimator itself what contributions are parts of."""
    if hasattr(fitted, "booster_"):
        margin = np.asarray(fitted.booster_.predict(features, raw_score=True))
    elif scale in ("number", "raw"):
        margin = np.log(fitted.predict(features)) if scale == "raw" else fitted.predict(features)
    else:
        margin = getattr(fitted, "predict_proba" if scale == "probability" else "decision_function")(features)
    if not hasattr(fitted, "classes_"):
        return margin.reshape(-1)
    places = np.searchsorted(fitted.classes_, labels)
    if margin.ndim == 1:
        return np.where(places == 1, margin, -margin)
    return margin[np.arange(len(margin)), places]


def list_cases() -> list[tuple[str, str]]:
    classifiers = [*LINEAR_CLASSIFIERS, "NuSVC", "SVC", "LGBMClassifier", *TREES[::2]]
    cases = [(name, target) for name in classifiers for target in ("two", "three")]
    cases = [case for case in cases if case not in (("GradientBoostingClassifier", "three"), *with_three(KERNELS))]
    return cases + [(name, "number") for name in (*LINEAR_REGRESSORS, "NuSVR", "SVR", "LGBMRegressor", *TREES[1::2])]


def with_three(names: list[str]) -> list[tuple[str, str]]:
    return [(name, "three") for name in names]


@pytest.mark.parametrize(("name", "target"), list_cases())
def test_contributions_and_bias_add_up_to_the_margin(prepared: Prepared, name: str, target: str) -> None:
    if name in TREES:
        pytest.importorskip("shap", reason="trees of scikit-learn are taken apart by the extra `shap`")
    model = prepared.fit(make(name), target)
    _, found, labels = prepared.explain(model, target)
    expected = compute_margin(model[-1], prepared.features, labels, found.scale)
    np.testing.assert_allclose(found.bias + found.values.sum(axis=1), expected, rtol=1e-6, atol=1e-9)
    assert set(found.columns) <= set(prepared.names)
    assert (found.scale == "number") == (target == "number" and name not in ("GammaRegressor", "PoissonRegressor"))


def test_every_estimator_is_taken_apart_or_known_not_to_be() -> None:
    one_label = {
        name
        for name, spec in allow_list.OWN.items()
        if {"classification", "regression"} & set(spec.problems) and spec.members is None
    }
    taken_apart = {*LINEAR_CLASSIFIERS, *LINEAR_REGRESSORS, *TREES, *KERNELS, *LIGHT_GBM}
    assert one_label - taken_apart == {
        "AdaBoostClassifier", "AdaBoostRegressor", "BaggingClassifier", "BaggingRegressor", "BernoulliNB",
        "ComplementNB", "DummyClassifier", "DummyRegressor", "GaussianNB", "KernelRidge", "KNeighborsClassifier",
        "KNeighborsRegressor", "MLPClassifier", "MLPRegressor", "MultinomialNB", "NearestCentroid",
        "QuadraticDiscriminantAnalysis",
    }  # fmt: skip
    assert taken_apart <= one_label


def test_a_linear_contribution_is_the_weight_times_the_feature_summed_over_the_column(prepared: Prepared) -> None:
    model = prepared.fit(make("LogisticRegression"), "two")
    _, found, labels = prepared.explain(model, "two")
    names = [str(name) for name in prepared.recipe.get_feature_names_out()]
    of_contract = [index for index, name in enumerate(names) if name.startswith("Contract_")]
    assert len(of_contract) == 3
    weighted = (prepared.features * model[-1].coef_[0])[:, of_contract].sum(axis=1)
    signs = np.where(np.asarray(labels) == "Yes", 1.0, -1.0)
    assert {*labels} == {"Yes", "No"}
    np.testing.assert_allclose(found.values[:, found.columns.index("Contract")], signs * weighted)
    assert found.columns == [name for name in prepared.names if name in found.columns]


def test_any_class_can_be_taken_apart(prepared: Prepared) -> None:
    model = prepared.fit(make("LGBMClassifier"), "three")
    found = Explainer(model, problem="classification", columns=prepared.names)
    assert found.labels == ["cheap", "dear", "old"]
    raw = model[-1].booster_.predict(prepared.features, raw_score=True)
    for place, label in enumerate(found.labels):
        parts = found.explain(prepared.frame, [label] * ROWS)
        np.testing.assert_allclose(parts.bias + parts.values.sum(axis=1), raw[:, place])


def test_many_rows_are_taken_apart_in_pieces(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    model = prepared.fit(make("LGBMClassifier"), "three")
    _, whole, _ = prepared.explain(model, "three")
    monkeypatch.setattr(explainer, "_CELLS", 7 * prepared.features.shape[1] * 3)
    found, pieces, _ = prepared.explain(model, "three")
    assert found._rows == 7
    assert np.array_equal(pieces.values, whole.values)
    assert np.array_equal(pieces.bias, whole.bias)


def test_a_threshold_and_an_interval_change_nothing(prepared: Prepared) -> None:
    inner = prepared.fit(make("LogisticRegression"), "two")[-1]
    threshold = model_selection.FixedThresholdClassifier(inner, threshold=0.1, pos_label="Yes")
    model = prepared.fit(threshold, "two")
    _, found, labels = prepared.explain(model, "two")
    expected = compute_margin(inner, prepared.features, labels, "decision")
    np.testing.assert_allclose(found.bias + found.values.sum(axis=1), expected)
    ridge = prepared.fit(make("Ridge"), "number")[-1]
    interval = quantile_models.ConformalModel(ridge)
    _, parts, _ = prepared.explain(prepared.wrap(interval.fit(*[prepared.targets["number"]] * 3)), "number")
    np.testing.assert_allclose(parts.bias + parts.values.sum(axis=1), ridge.predict(prepared.features))


def refuse(prepared: Prepared, model: pipeline.Pipeline, match: str, *, problem: str = "classification") -> None:
    with pytest.raises(errors.BadModelError, match=match):
        Explainer(model, problem=problem, columns=prepared.names)


def test_what_can_not_be_taken_apart_is_refused_with_the_reason(prepared: Prepared) -> None:
    inner = make("LogisticRegression")
    refuse(prepared, prepared.fit(calibration.CalibratedClassifierCV(inner, cv=2), "two"), "CalibratedClassifierCV")
    refuse(prepared, prepared.fit(ensemble.VotingClassifier([("one", inner)]), "two"), "VotingClassifier")
    refuse(prepared, prepared.fit(svm.SVC(), "two"), "a linear kernel and two classes")
    refuse(prepared, prepared.fit(svm.SVC(kernel="linear"), "three"), "a linear kernel and two classes")
    refuse(prepared, prepared.fit(make("GradientBoostingClassifier"), "three"), "for two classes only")
    refuse(prepared, prepared.fit(inner, "two"), "the problem multilabel", problem="multilabel")


def test_trees_want_the_extra_only_where_it_is_missing(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refuse(
        prepared, prepared.fit(make("RandomForestClassifier"), "two"), "isn't installed here: install the extra `shap`"
    )
    Explainer(prepared.fit(make("LGBMClassifier"), "two"), problem="classification", columns=prepared.names)


def test_missing_values_that_reach_trees_are_followed_as_they_follow_them() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(300, 3))
    labels = np.where(values[:, 0] + values[:, 1] ** 2 > 0.8, "big", "small")
    values[random.random(values.shape) < 0.2] = np.nan
    frame = pd.DataFrame(values, columns=["a", "b", "c"])
    pytest.importorskip("shap", reason="trees of scikit-learn are taken apart by the extra `shap`")
    for estimator in (
        ensemble.RandomForestClassifier(5, random_state=0),
        ensemble.HistGradientBoostingClassifier(max_iter=5),
        light_gbm.LGBMClassifier(n_estimators=5),
    ):
        model = pipeline.Pipeline([("features", "passthrough"), ("estimator", estimator)]).fit(values, labels)
        predicted = model.predict(values).tolist()
        found = Explainer(model, problem="classification", columns=["a", "b", "c"]).explain(frame, predicted)
        expected = compute_margin(estimator, values, predicted, found.scale)
        np.testing.assert_allclose(found.bias + found.values.sum(axis=1), expected)


def test_objectives_of_light_gbm_that_apply_a_link_are_told(prepared: Prepared) -> None:
    for objective, scale in (("regression", "number"), ("poisson", "raw"), ("huber", "number")):
        model = prepared.fit(light_gbm.LGBMRegressor(n_estimators=3, objective=objective), "number")
        assert margins.find_margin(model[-1]).scale == scale
