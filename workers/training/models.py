"""Makes the estimator that a job asked for, and fits a whole model."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn import multioutput, pipeline, utils
from sklearn.utils import class_weight

from shared import errors
from shared.ml import density_clusters, predictions, quantile_models, targets
from shared.training import refinements
from shared.training.estimators import catalogue
from shared.training.estimators.document import Estimator, Member
from shared.training.setup import DEFAULT_QUANTILES
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.splits import inner, own

# What scikit-learn is seen to raise for parameters that don't go with each other or with the data.
FAULTS = (ValueError, TypeError, ArithmeticError, LookupError, NotImplementedError, AttributeError)
# With fewer rows than the first, the tenth that histogram boosting holds out is too small to tell when to stop; with
# more than the second scikit-learn stops early by itself.
EARLY_STOPPING_ROWS = (500, 10_000)
EARLY_STOPPING_CLASS_ROWS = 40
STOPS_EARLY = "early_stopping was left out and set to true; give false to run all rounds"
# Parameters that are always the same here, where scikit-learn's default would give no model for new rows.
SETTLED: dict[str, dict[str, Any]] = {"LocalOutlierFactor": {"novelty": True}}


def make_estimator(wanted: Estimator, *, seed: int) -> Any:
    """Make an unfitted estimator from the allow-list; BadModelError when scikit-learn refuses a parameter's value."""
    sort = catalogue.specs()[wanted.name].members
    if sort is None:
        made = _make(wanted, seed=seed)
        # scikit-learn's own takes no new rows; ours has its parameters, which it has just checked.
        return density_clusters.DensityClusters().set_params(**wanted.params) if wanted.name == "DBSCAN" else made
    # A member's name only has to differ from the others'.
    members = [(f"{place}_{each.name}", _make(each, seed=seed)) for place, each in enumerate(wanted.estimators or [])]
    more: dict[str, Any] = {"estimators": members}
    if sort == "stacking" and wanted.final_estimator is not None:
        more["final_estimator"] = _make(wanted.final_estimator, seed=seed)
    return _make(wanted, seed=seed, **more)


def _make(wanted: Member, *, seed: int, **more: Any) -> Any:
    spec = catalogue.specs()[wanted.name]
    params: dict[str, Any] = {**wanted.params, **SETTLED.get(wanted.name, {}), **more}
    if "random_state" in spec.parameters and params.get("random_state") is None:
        params["random_state"] = seed
    made = getattr(importlib.import_module(spec.path), wanted.name)(**params)
    try:
        # An estimator that a package adds may have no constraints.
        if hasattr(made, "_parameter_constraints"):
            made._validate_params()
    except ValueError as error:
        raise errors.BadModelError(first_line(error), pointer="#/params/estimator/params") from error
    return made


def suit(estimator: Any, table: tables.Table, *, experiment: Experiment, train_fraction: float) -> list[str]:
    """Adapt an estimator's parameters to the target, and say which one was set that the job had left out.

    JSON's keys are text, so the keys of `class_weight` are matched with the labels by what they look like. Histogram
    boosting stops early by default here on data of any size, where scikit-learn does so only beyond 10,000 rows:
    with its fixed 100 rounds it overfits smaller data.
    """
    wanted, values = experiment.estimator, table.values
    taken = catalogue.specs()[wanted.name].parameters
    if values is not None:
        by_label = _class_weights(experiment, values)
        if by_label is not None and "class_weight" in taken:
            estimator.set_params(class_weight=by_label)
    if experiment.setup.early_stopping is not None:
        _stop_early(estimator, experiment.setup.early_stopping, taken=taken)
        return []
    if inner.keeps_apart(table):
        return _settle_early_stopping(estimator, table, experiment=experiment, train_fraction=train_fraction)
    left_out = "early_stopping" not in wanted.params
    if left_out and wanted.name.startswith("HistGradientBoosting") and _can_stop_early(values, train_fraction):
        estimator.set_params(early_stopping=True)
        return [STOPS_EARLY]
    return []


def _settle_early_stopping(
    estimator: Any, table: tables.Table, *, experiment: Experiment, train_fraction: float
) -> list[str]:
    """Settle what `auto` would, where time or groups are kept apart: what can't be told which rows doesn't stop."""
    members = [member for _, member in getattr(estimator, "estimators", None) or []]
    for member in [*members, getattr(estimator, "final_estimator", None)]:
        if getattr(member, "early_stopping", None) == "auto":
            member.set_params(early_stopping=False)
    if getattr(estimator, "early_stopping", None) != "auto":
        return []
    is_large = len(table.frame) * train_fraction > EARLY_STOPPING_ROWS[1]
    can_be_told = experiment.setup.problem != "multilabel"
    stops = can_be_told and (is_large or _can_stop_early(table.values, train_fraction))
    estimator.set_params(early_stopping=stops)
    return [STOPS_EARLY] if stops else []


def _stop_early(estimator: Any, wanted: refinements.EarlyStopping, *, taken: frozenset[str]) -> None:
    estimator.set_params(n_iter_no_change=wanted.rounds, validation_fraction=wanted.fraction)
    if "early_stopping" in taken:
        estimator.set_params(early_stopping=True)
    if wanted.tolerance is not None:
        estimator.set_params(tol=wanted.tolerance)


def for_problem(estimator: Any, *, experiment: Experiment) -> Any:
    """Wrap an estimator where the problem needs more than one of it."""
    if experiment.setup.problem == "multilabel" and not utils.get_tags(estimator).classifier_tags.multi_label:
        return multioutput.MultiOutputClassifier(estimator)
    if experiment.setup.problem == "quantile":
        spec = catalogue.specs()[experiment.estimator.name]
        for name in {"loss", "objective"} & spec.parameters:
            estimator.set_params(**{name: "quantile"})
        return quantile_models.QuantileModels(estimator, levels(experiment), spec.quantile or "")
    return estimator


def levels(experiment: Experiment) -> tuple[float, ...]:
    """Give the quantiles that a model of the problem `quantile` learns; none for other problems."""
    if experiment.setup.problem != "quantile":
        return ()
    if experiment.setup.conformal is not None:
        miss = quantile_models.miss_rate(experiment.setup.conformal.confidence)
        return (miss / 2, 0.5, 1 - miss / 2)
    return tuple(experiment.setup.quantiles or DEFAULT_QUANTILES)


def fit_model(
    model: pipeline.Pipeline, table: tables.Table, *, experiment: Experiment, threads: int
) -> pipeline.Pipeline:
    """Fit a model in place; BadModelError when the estimator can't learn from this data."""
    name = experiment.estimator.name
    # What the problem wraps around an estimator has `n_jobs` too, which starts processes.
    threaded = catalogue.specs()[name].threads and type(model[-1]).__name__ == name
    weights = row_weights(table, experiment=experiment)
    with blame(name):
        if threaded:
            model[-1].set_params(n_jobs=threads)
        own.fit(model, table, experiment=experiment, weights=weights)
        if threaded:
            # Threads add up a forest's votes in any order, which changes the last bits of its predictions.
            model[-1].set_params(n_jobs=None)
    return model


def row_weights(table: tables.Table, *, experiment: Experiment) -> targets.Values | None:
    """Give how much each row counts in fitting, by its own weight and, unless the estimator heeds it, its class's."""
    heeded = "class_weight" in catalogue.specs()[experiment.estimator.name].parameters
    if experiment.setup.class_weight is None or heeded or table.values is None:
        return table.weights
    if experiment.setup.class_weight == "balanced":
        of_class = class_weight.compute_sample_weight("balanced", table.values)
    else:
        encoded = table.encoded
        known = [experiment.setup.class_weight.get(targets.format_label(label), 1.0) for label in encoded.labels]
        of_class = np.asarray(known, dtype=np.float64)[encoded.codes]
    return np.asarray(of_class if table.weights is None else of_class * table.weights)


def try_model(model: pipeline.Pipeline, frame: pd.DataFrame, *, experiment: Experiment) -> predictions.Predictions:
    """Predict rows that a model wasn't fitted on; BadModelError when it can't, as with more neighbours than rows."""
    with blame(experiment.estimator.name):
        return predictions.predict(model, frame, problem=experiment.setup.problem)


@contextlib.contextmanager
def blame(name: str) -> Iterator[None]:
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


def _class_weights(experiment: Experiment, values: targets.Values) -> Any:
    """Give the weights of the classes under the labels' own types; the word `balanced` stays."""
    in_params = experiment.estimator.params.get("class_weight")
    weights: Any = experiment.setup.class_weight if in_params is None else in_params
    if not isinstance(weights, dict):
        return weights
    known = {targets.format_label(label): label for label in targets.encode(values).labels}
    absent = sorted(set(weights) - set(known))
    if absent:
        raise errors.BadModelError(
            f"class_weight names {absent[0]!r}, which is no class of the target; the classes are "
            f"{', '.join(list(known)[:20])}",
            pointer="#/params/class_weight" if in_params is None else "#/params/estimator/params/class_weight",
        )
    return {known[key].item() if hasattr(known[key], "item") else known[key]: weights[key] for key in weights}


def _can_stop_early(values: targets.Values | None, train_fraction: float) -> bool:
    least, most = EARLY_STOPPING_ROWS
    if values is None or values.ndim > 1 or not least <= len(values) * train_fraction <= most:
        return False
    if values.dtype == np.float64:
        return True
    return targets.encode(values).rarest[1] * train_fraction >= EARLY_STOPPING_CLASS_ROWS
