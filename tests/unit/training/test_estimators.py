"""The allow-list agrees with the installed scikit-learn and refuses what it should."""

import importlib
import inspect
import subprocess
import sys

import pydantic
import pytest
from sklearn import base
from sklearn.utils import validation

from shared.training.estimators import allow_list, checks
from shared.training.estimators.document import Estimator

pytestmark = pytest.mark.slow

NAMES = sorted(allow_list.specs())


@pytest.mark.parametrize("name", NAMES)
def test_every_estimator_is_one_of_scikit_learn_with_these_parameters(name: str) -> None:
    spec = allow_list.specs()[name]
    found = getattr(importlib.import_module(spec.path), name)
    assert spec.parameters <= set(inspect.signature(found).parameters)
    assert ("classification" in spec.problems) == issubclass(found, base.ClassifierMixin)
    assert ("regression" in spec.problems) == issubclass(found, base.RegressorMixin)
    assert ("anomaly" in spec.problems) == issubclass(found, base.OutlierMixin)


@pytest.mark.parametrize("name", NAMES)
def test_what_takes_weights_is_told_from_what_does_not(name: str) -> None:
    spec = allow_list.specs()[name]
    found = getattr(importlib.import_module(spec.path), name)
    assert spec.weighted == validation.has_fit_parameter(found, "sample_weight")


@pytest.mark.parametrize("name", NAMES)
def test_what_learns_a_quantile_names_the_parameter_that_says_which(name: str) -> None:
    spec = allow_list.specs()[name]
    assert (spec.quantile is not None) == ("quantile" in spec.problems)
    assert {spec.quantile} - {None} <= spec.parameters


@pytest.mark.parametrize("name", ["HDBSCAN", "AgglomerativeClustering"])
def test_what_can_not_label_new_rows_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ValueError, match=r"only label the rows that it was fitted on.*use DBSCAN"):
        checks.check(name, {})


@pytest.mark.parametrize("name", NAMES)
def test_every_default_of_scikit_learn_is_within_our_limits(name: str) -> None:
    spec = allow_list.specs()[name]
    signature = inspect.signature(getattr(importlib.import_module(spec.path), name))
    checks.check(name, {parameter: signature.parameters[parameter].default for parameter in spec.parameters})


@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_is_deprecated_or_takes_code_or_another_estimator(name: str) -> None:
    spec = allow_list.specs()[name]
    signature = inspect.signature(getattr(importlib.import_module(spec.path), name))
    defaults = {parameter: signature.parameters[parameter].default for parameter in spec.parameters}
    assert not [parameter for parameter, default in defaults.items() if default in ("deprecated", "warn")]
    code = {"n_jobs", "verbose", "warm_start", "init", "estimator", "base_estimator", "scoring", "estimators"}
    assert not spec.parameters & (
        code | {"final_estimator", "connectivity", "memory", "metric_params", "kernel_params"}
    )


def test_limits_and_choices_name_parameters_that_are_taken() -> None:
    for spec in allow_list.specs().values():
        assert set(spec.limits) | set(spec.choices) <= spec.parameters


def test_every_estimator_that_sums_in_threads_has_n_jobs() -> None:
    threaded = {name for name, spec in allow_list.specs().items() if spec.threads}
    assert threaded == {
        f"{kind}{sort}" for kind in ("RandomForest", "ExtraTrees", "LGBM") for sort in ("Classifier", "Regressor")
    }


def test_an_unknown_estimator_is_refused_with_close_matches() -> None:
    with pytest.raises(
        ValueError, match="'LogisticRegresion' is not on the allow-list; did you mean LogisticRegression"
    ):
        checks.check("LogisticRegresion", {})


def test_an_estimator_like_no_other_is_refused_with_the_whole_list() -> None:
    with pytest.raises(ValueError, match=r"these are: ARDRegression, .*VotingRegressor"):
        checks.check("xyzzy", {})


def test_an_unknown_parameter_is_refused_with_close_matches() -> None:
    with pytest.raises(ValueError, match="takes no parameter 'max_iters' here; did you mean max_iter"):
        checks.check("LogisticRegression", {"max_iters": 100})


def test_threads_are_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="'n_jobs' here; the worker decides how many threads"):
        checks.check("RandomForestClassifier", {"n_jobs": -1})


@pytest.mark.parametrize(
    ("name", "params", "told"),
    [
        (
            "RandomForestClassifier",
            {"n_estimators": 10**9},
            "`n_estimators` is 1000000000; use a number from 1 to 10,000",
        ),
        ("RandomForestClassifier", {"n_estimators": 10**400}, "`n_estimators` is a number beyond 1e30"),
        ("HistGradientBoostingRegressor", {"max_iter": 20_000}, "use a number from 1 to 10,000"),
        (
            "MLPClassifier",
            {"hidden_layer_sizes": [100_000]},
            "`hidden_layer_sizes` is 100000; use a number from 1 to 2,048",
        ),
        ("MLPClassifier", {"hidden_layer_sizes": [10] * 9}, "has 9 members; at most 8"),
        ("SVC", {"kernel": "precomputed"}, "'precomputed'; use one of linear, poly, rbf, sigmoid"),
        ("SVC", {"tol": 1e-300}, "`tol` is 1e-300; use a number from 1e-06 to 1,000"),
        ("Ridge", {"alpha": float("inf")}, "`alpha` is inf; use a finite number"),
        ("LogisticRegression", {"class_weight": {"Yes": float("nan")}}, "`class_weight` is nan"),
        ("SGDClassifier", {"random_state": -1}, "`random_state` is -1"),
    ],
)
def test_a_value_that_could_eat_the_machine_is_refused(name: str, params: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .*{told}"):
        checks.check(name, params)


def test_scikit_learns_words_for_no_limit_are_taken() -> None:
    checks.check("SVC", {"max_iter": -1})
    checks.check("RandomForestClassifier", {"max_depth": None, "max_features": "sqrt"})
    checks.check("MLPRegressor", {"hidden_layer_sizes": [64, 32]})


def test_a_command_with_a_refused_estimator_is_no_valid_document() -> None:
    with pytest.raises(pydantic.ValidationError, match="did you mean"):
        Estimator(name="LogisticRegresion")


def test_the_allow_list_needs_no_scikit_learn() -> None:
    code = (
        "import sys; from shared.training.estimators import allow_list; allow_list.specs(); "
        "sys.exit(bool({'sklearn', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
