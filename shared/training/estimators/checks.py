"""Checks an estimator and its parameters against the list, and says why what is not on it can't be had.

Values are checked as far as their parameter's name tells (`shared.training.parameters`), the rest by scikit-learn
itself in the worker.
"""

import difflib
import math
from collections.abc import Iterable, Mapping

from shared.training import parameters
from shared.training.estimators.catalogue import specs
from shared.training.estimators.spec import ANY_NUMBER, MAX_LIST_LENGTH, EstimatorSpec

MAX_LAYERS = 8

# Why an estimator that scikit-learn has can't be had here.
TAKES_NO_NEW_ROWS = (
    "it can only label the rows that it was fitted on, not new ones; take DBSCAN, GaussianMixture or KMeans"
)
LEFT_OUT = {
    "AgglomerativeClustering": TAKES_NO_NEW_ROWS,
    "HDBSCAN": TAKES_NO_NEW_ROWS,
    "OPTICS": TAKES_NO_NEW_ROWS,
    "PassiveAggressiveClassifier": "scikit-learn has deprecated it; take SGDClassifier",
    "PassiveAggressiveRegressor": "scikit-learn has deprecated it; take SGDRegressor",
    "SpectralClustering": TAKES_NO_NEW_ROWS,
}

# Why a parameter that scikit-learn documents can't be given here.
REFUSED = {
    "base_estimator": "an estimator inside another is not taken",
    "cache_size": "the worker decides how much memory is used",
    "categorical_features": "the recipe decides how categories are encoded",
    "estimator": "an estimator inside another is not taken",
    "final_estimator": "give it beside `params`, as `final_estimator`",
    "estimators": "give them beside `params`, as `estimators`",
    "init": "only scikit-learn's own start is taken",
    "n_jobs": "the worker decides how many threads are used",
    "penalty": "scikit-learn has deprecated it; give `C` and `l1_ratio`",
    "novelty": "it is always true here, so that new rows can be scored",
    "probability": "scikit-learn has deprecated it; for probabilities take another estimator",
    "verbose": "progress is reported by the job",
    "warm_start": "each job fits from the beginning",
}


def check(name: str, params: Mapping[str, object]) -> None:
    """Refuse an estimator or parameters that are not on the allow-list; raises ValueError that says what would do."""
    if name not in specs():
        hint = LEFT_OUT.get(name) or _did_you_mean(name, specs()) or f"these are: {', '.join(sorted(specs()))}"
        raise ValueError(f"estimator {name[:100]!r} is not on the allow-list; {hint}")
    spec = specs()[name]
    for parameter, value in params.items():
        if parameter not in spec.parameters:
            raise ValueError(f"{name} takes no parameter {parameter[:100]!r} here; {_why(parameter, spec)}")
        try:
            parameters.check(parameter, value)
            _check_value(parameter, value, spec)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def holds_rows_out(name: str, params: Mapping[str, object]) -> bool:
    """Tell whether an estimator with these parameters keeps rows from its own fit to stop early by."""
    spec = specs()[name]
    # Without a fraction histogram boosting stops by the rows that it learns from.
    if not spec.stops or ("validation_fraction" in params and params["validation_fraction"] is None):
        return False
    if "early_stopping" in spec.parameters:
        return params.get("early_stopping") is True
    return params.get("n_iter_no_change") is not None


def _check_value(parameter: str, value: object, spec: EstimatorSpec) -> None:
    if isinstance(value, (list, tuple)):
        longest = MAX_LAYERS if parameter == "hidden_layer_sizes" else MAX_LIST_LENGTH
        if len(value) > longest:
            raise ValueError(f"`{parameter}` has {len(value)} members; at most {longest} are taken")
        for member in value:
            _check_value(parameter, member, spec)
    elif isinstance(value, Mapping):
        for member in value.values():
            _check_value(parameter, member, spec)
    elif isinstance(value, str):
        choices = spec.choices.get(parameter)
        if choices is not None and value not in choices:
            raise ValueError(f"`{parameter}` is {value[:100]!r}; one of {', '.join(choices)} would do")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_number(parameter, value, spec)


def _check_number(parameter: str, value: float, spec: EstimatorSpec) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{parameter}` is {value}; a finite number would do")
    low, high = spec.limits.get(parameter, ANY_NUMBER)
    if not low <= value <= high:
        seen = f"{value}" if abs(value) < 1e30 else "a number beyond 1e30"
        raise ValueError(f"`{parameter}` is {seen}; {low:,} to {high:,} would do")


def _why(parameter: str, spec: EstimatorSpec) -> str:
    reason = REFUSED.get(parameter) or _did_you_mean(parameter, spec.parameters)
    return reason or f"these are taken: {', '.join(sorted(spec.parameters))}"


def _did_you_mean(word: str, words: Iterable[str]) -> str:
    lowered = {known.lower(): known for known in words}
    close = difflib.get_close_matches(word[:100].lower(), lowered, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(lowered[match] for match in close)}?" if close else ""
