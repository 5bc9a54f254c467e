"""Checks an estimator and its parameters against the allow-list, and explains why what is not on it is refused.

Values are checked as far as the parameter's name allows (`shared.training.parameters`), the rest by scikit-learn
itself in the worker.
"""

import math
from collections.abc import Iterable, Mapping

from shared import suggestions
from shared.training import parameters
from shared.training.estimators.allow_list import specs
from shared.training.estimators.spec import ANY_NUMBER, MAX_LIST_LENGTH, EstimatorSpec

MAX_LAYERS = 8

# Why an estimator that scikit-learn has is not allowed here.
# docs/decisions/models.md, "Clusterings that can't label new rows are refused".
TAKES_NO_NEW_ROWS = (
    "it can only label the rows that it was fitted on, not new ones; use DBSCAN, GaussianMixture or KMeans"
)
EXCLUDED_ESTIMATORS = {
    "AgglomerativeClustering": TAKES_NO_NEW_ROWS,
    "HDBSCAN": TAKES_NO_NEW_ROWS,
    "OPTICS": TAKES_NO_NEW_ROWS,
    "PassiveAggressiveClassifier": "scikit-learn has deprecated it; use SGDClassifier",
    "PassiveAggressiveRegressor": "scikit-learn has deprecated it; use SGDRegressor",
    "SpectralClustering": TAKES_NO_NEW_ROWS,
}

# Why a parameter that scikit-learn documents is not allowed here.
REFUSED_PARAMETERS = {
    "base_estimator": "an estimator inside another is not allowed",
    "cache_size": "the worker decides how much memory is used",
    "categorical_features": "the recipe decides how categories are encoded",
    "estimator": "an estimator inside another is not allowed",
    "final_estimator": "give it beside `params`, as `final_estimator`",
    "estimators": "give them beside `params`, as `estimators`",
    "init": "only scikit-learn's default initialisation is allowed",
    "n_jobs": "the worker decides how many threads are used",
    "penalty": "scikit-learn has deprecated it; give `C` and `l1_ratio`",
    "novelty": "it is always true here, so that new rows can be scored",
    "probability": "scikit-learn has deprecated it; for probabilities use another estimator",
    "verbose": "progress is reported by the job",
    "warm_start": "each job fits from the beginning",
}


def check(name: str, params: Mapping[str, object]) -> None:
    """Raise ValueError, saying what helps, for an estimator or parameters that are not on the allow-list."""
    if name not in specs():
        hint = (
            EXCLUDED_ESTIMATORS.get(name) or _suggest_names(name, specs()) or f"these are: {', '.join(sorted(specs()))}"
        )
        raise ValueError(f"estimator {name[:100]!r} is not on the allow-list; {hint}")
    spec = specs()[name]
    for parameter, value in params.items():
        if parameter not in spec.parameters:
            raise ValueError(f"{name} takes no parameter {parameter[:100]!r} here; {_explain_refusal(parameter, spec)}")
        try:
            parameters.check(parameter, value)
            _check_value(parameter, value, spec)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def holds_rows_out(name: str, params: Mapping[str, object]) -> bool:
    """Return whether an estimator with these parameters holds out rows of its own fit to stop early by."""
    spec = specs()[name]
    # Without a fraction histogram boosting stops early by the rows that it learns from.
    if not spec.stops or ("validation_fraction" in params and params["validation_fraction"] is None):
        return False
    if "early_stopping" in spec.parameters:
        return params.get("early_stopping") is True
    return params.get("n_iter_no_change") is not None


def _check_value(parameter: str, value: object, spec: EstimatorSpec) -> None:
    if isinstance(value, (list, tuple)):
        longest = MAX_LAYERS if parameter == "hidden_layer_sizes" else MAX_LIST_LENGTH
        if len(value) > longest:
            raise ValueError(f"`{parameter}` has {len(value)} members; at most {longest} are allowed")
        for member in value:
            _check_value(parameter, member, spec)
    elif isinstance(value, Mapping):
        for member in value.values():
            _check_value(parameter, member, spec)
    elif isinstance(value, str):
        choices = spec.choices.get(parameter)
        if choices is not None and value not in choices:
            raise ValueError(f"`{parameter}` is {value[:100]!r}; use one of {', '.join(choices)}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_number(parameter, value, spec)


def _check_number(parameter: str, value: float, spec: EstimatorSpec) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{parameter}` is {value}; use a finite number")
    low, high = spec.limits.get(parameter, ANY_NUMBER)
    if not low <= value <= high:
        shown = f"{value}" if abs(value) < 1e30 else "a number beyond 1e30"
        raise ValueError(f"`{parameter}` is {shown}; use a number from {low:,} to {high:,}")


def _explain_refusal(parameter: str, spec: EstimatorSpec) -> str:
    reason = REFUSED_PARAMETERS.get(parameter) or _suggest_names(parameter, spec.parameters)
    return reason or f"these are allowed: {', '.join(sorted(spec.parameters))}"


def _suggest_names(word: str, words: Iterable[str]) -> str:
    lowered = {original.lower(): original for original in words}
    close = suggestions.find_similar(word.lower(), lowered)
    return f"did you mean {' or '.join(lowered[match] for match in close)}?" if close else ""
