"""Makes the estimator that a job asked for, and fits a whole model."""

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn import pipeline

from shared import errors
from shared.ml import metrics, targets
from shared.training import contract, estimators

# What scikit-learn is seen to raise for parameters that don't go with each other or with the data.
FAULTS = (ValueError, TypeError, ArithmeticError, LookupError, NotImplementedError, AttributeError)
# With fewer rows than the first, the tenth that histogram boosting holds out is too small to tell when to stop; with
# more than the second scikit-learn stops early by itself.
EARLY_STOPPING_ROWS = (500, 10_000)
EARLY_STOPPING_CLASS_ROWS = 40


def make_estimator(wanted: contract.Estimator, *, seed: int) -> Any:
    """Make an unfitted estimator from the allow-list; BadModelError when scikit-learn refuses a parameter's value."""
    spec = estimators.ALLOWED[wanted.name]
    params: dict[str, Any] = dict(wanted.params)
    if "random_state" in spec.parameters and params.get("random_state") is None:
        params["random_state"] = seed
    made = getattr(importlib.import_module(spec.path), wanted.name)(**params)
    try:
        made._validate_params()
    except ValueError as error:
        raise errors.BadModelError(first_line(error), pointer="#/params/estimator/params") from error
    return made


def suit(estimator: Any, wanted: contract.Estimator, *, values: targets.Values, train_fraction: float) -> list[str]:
    """Adapt an estimator's parameters to the target, and say which one was set that the job had left out.

    JSON's keys are text, so the keys of `class_weight` are matched with the labels by what they look like. Histogram
    boosting stops early by default here on data of any size, where scikit-learn does so only beyond 10,000 rows:
    with its fixed 100 rounds it overfits smaller data.
    """
    weights = wanted.params.get("class_weight")
    if isinstance(weights, dict):
        estimator.set_params(class_weight=_label_keys(weights, np.unique(values)))
    stops = "early_stopping" in estimator.get_params() and wanted.name.startswith("HistGradientBoosting")
    if stops and "early_stopping" not in wanted.params and _can_stop_early(values, train_fraction):
        estimator.set_params(early_stopping=True)
        return ["early_stopping was left out and set to true; give false to run all rounds"]
    return []


def fit_model(model: pipeline.Pipeline, frame: pd.DataFrame, values: targets.Values, *, threads: int) -> None:
    """Fit a model in place; BadModelError when the estimator can't learn from this data."""
    name = type(model[-1]).__name__
    threaded = estimators.ALLOWED[name].threads
    with _blame(name):
        if threaded:
            model[-1].set_params(n_jobs=threads)
        model.fit(frame, values)
        if threaded:
            # Threads add up a forest's votes in any order, which changes the last bits of its predictions.
            model[-1].set_params(n_jobs=None)


def try_model(model: pipeline.Pipeline, frame: pd.DataFrame) -> metrics.Predictions:
    """Predict rows that a model wasn't fitted on; BadModelError when it can't, as with more neighbours than rows."""
    with _blame(type(model[-1]).__name__):
        return metrics.predict(model, frame)


@contextlib.contextmanager
def _blame(name: str) -> Iterator[None]:
    """Give what scikit-learn raises as our errors."""
    try:
        yield
    except MemoryError as error:
        raise errors.LimitExceededError(f"{name} needs more memory than this worker has: {error}") from error
    except FAULTS as error:
        raise errors.BadModelError(f"{name} can't be used on this data: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Give the first paragraph of an error of scikit-learn's; what follows is advice for programmers."""
    return " ".join(f"{error}".split("\n\n")[0].split())[:1000]


def _label_keys(weights: dict[str, Any], labels: Sequence[Any] | targets.Values) -> dict[Any, Any]:
    known = {targets.text(label): label for label in labels}
    absent = sorted(set(weights) - set(known))
    if absent:
        raise errors.BadModelError(
            f"class_weight names {absent[0]!r}, which is no class of the target; the classes are "
            f"{', '.join(list(known)[:20])}",
            pointer="#/params/estimator/params/class_weight",
        )
    return {known[key].item() if hasattr(known[key], "item") else known[key]: weights[key] for key in weights}


def _can_stop_early(values: targets.Values, train_fraction: float) -> bool:
    least, most = EARLY_STOPPING_ROWS
    if not least <= len(values) * train_fraction <= most:
        return False
    if values.dtype == np.float64:
        return True
    return int(np.unique(values, return_counts=True)[1].min()) * train_fraction >= EARLY_STOPPING_CLASS_ROWS
