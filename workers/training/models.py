"""Makes the estimator that a job requests, and fits a pipeline of recipe and estimator."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn import multioutput, pipeline, utils
from sklearn.utils import class_weight

from shared import errors
from shared.ml import density_clusters, predictions, quantile_models, targets
from shared.ml.values import unusable_values
from shared.training import refinements
from shared.training.estimators import allow_list
from shared.training.estimators.document import Estimator, Member
from shared.training.setup import DEFAULT_QUANTILES
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.splits import inner, self_splitting

# What scikit-learn is known to raise for parameters that don't go together, or don't suit the data.
ESTIMATOR_ERRORS = (ValueError, TypeError, ArithmeticError, LookupError, NotImplementedError, AttributeError)
# With fewer rows than the first, the tenth that histogram boosting holds out is too small to decide when to stop; with
# more than the second scikit-learn stops early by itself. docs/decisions/models.md, "Histogram boosting stops early on
# small data unless told otherwise".
EARLY_STOPPING_ROWS = (500, 10_000)
EARLY_STOPPING_CLASS_ROWS = 40
EARLY_STOPPING_NOTE = "early_stopping was left out and set to true; give false to run all rounds"
# Parameters that are always the same here, because scikit-learn's default would make a model that takes no new rows.
FIXED_PARAMETERS: dict[str, dict[str, Any]] = {"LocalOutlierFactor": {"novelty": True}}


def make_estimator(document: Estimator, *, seed: int) -> Any:
    """Make an unfitted estimator from the allow-list; BadModelError when scikit-learn refuses a parameter's value."""
    kind = allow_list.specs()[document.name].members
    if kind is None:
        estimator = _make(document, seed=seed)
        if document.name == "DBSCAN":
            # scikit-learn's own takes no new rows; ours has the same parameters, which have just been checked.
            return density_clusters.DensityClusters().set_params(**document.params)
        return estimator
    # The members' names only have to differ.
    members = [
        (f"{number}_{member.name}", _make(member, seed=seed)) for number, member in enumerate(document.estimators or [])
    ]
    combined: dict[str, Any] = {"estimators": members}
    if kind == "stacking" and document.final_estimator is not None:
        combined["final_estimator"] = _make(document.final_estimator, seed=seed)
    return _make(document, seed=seed, **combined)


def _make(document: Member, *, seed: int, **combined: Any) -> Any:
    spec = allow_list.specs()[document.name]
    params: dict[str, Any] = {**document.params, **FIXED_PARAMETERS.get(document.name, {}), **combined}
    if "random_state" in spec.parameters and params.get("random_state") is None:
        params["random_state"] = seed
    estimator = getattr(importlib.import_module(spec.path), document.name)(**params)
    try:
        # An estimator of a plugin may have no constraints.
        if hasattr(estimator, "_parameter_constraints"):
            estimator._validate_params()
    except ValueError as error:
        raise errors.BadModelError(first_paragraph(error), pointer="#/params/estimator/params") from error
    return estimator


def adapt_parameters(
    estimator: Any, table: tables.Table, *, experiment: Experiment, train_fraction: float
) -> list[str]:
    """Adapt an estimator's parameters to the target; return notes about parameters that the request left out.

    JSON's keys are text, so the keys of `class_weight` are matched with the labels by their texts. Histogram boosting
    stops early by default here on data of any size, where scikit-learn does so only beyond 10,000 rows: with its
    fixed 100 rounds it overfits smaller data.
    """
    document, values = experiment.estimator, table.values
    parameters = allow_list.specs()[document.name].parameters
    if values is not None:
        class_weights = _match_class_weights(experiment, values)
        if class_weights is not None and "class_weight" in parameters:
            estimator.set_params(class_weight=class_weights)
    if experiment.setup.early_stopping is not None:
        _set_early_stopping(estimator, experiment.setup.early_stopping, parameters=parameters)
        return []
    if inner.forbids_random_splits(table):
        return _resolve_early_stopping(estimator, table, experiment=experiment, train_fraction=train_fraction)
    left_out = "early_stopping" not in document.params
    if left_out and document.name.startswith("HistGradientBoosting") and _can_stop_early(values, train_fraction):
        estimator.set_params(early_stopping=True)
        return [EARLY_STOPPING_NOTE]
    return []


def _resolve_early_stopping(
    estimator: Any, table: tables.Table, *, experiment: Experiment, train_fraction: float
) -> list[str]:
    """Resolve `auto` where time or groups are kept apart: an estimator that can't be given the rows doesn't stop."""
    members = [member for _, member in getattr(estimator, "estimators", None) or []]
    for member in [*members, getattr(estimator, "final_estimator", None)]:
        if getattr(member, "early_stopping", None) == "auto":
            member.set_params(early_stopping=False)
    if getattr(estimator, "early_stopping", None) != "auto":
        return []
    is_large = len(table.frame) * train_fraction > EARLY_STOPPING_ROWS[1]
    accepts_rows = experiment.setup.problem != "multilabel"
    stops = accepts_rows and (is_large or _can_stop_early(table.values, train_fraction))
    estimator.set_params(early_stopping=stops)
    return [EARLY_STOPPING_NOTE] if stops else []


def _set_early_stopping(estimator: Any, settings: refinements.EarlyStopping, *, parameters: frozenset[str]) -> None:
    estimator.set_params(n_iter_no_change=settings.rounds, validation_fraction=settings.fraction)
    if "early_stopping" in parameters:
        estimator.set_params(early_stopping=True)
    if settings.tolerance is not None:
        estimator.set_params(tol=settings.tolerance)


def wrap_for_problem(estimator: Any, *, experiment: Experiment) -> Any:
    """Wrap an estimator where the problem needs several copies of it."""
    if experiment.setup.problem == "multilabel" and not utils.get_tags(estimator).classifier_tags.multi_label:
        return multioutput.MultiOutputClassifier(estimator)
    if experiment.setup.problem == "quantile":
        spec = allow_list.specs()[experiment.estimator.name]
        for name in {"loss", "objective"} & spec.parameters:
            estimator.set_params(**{name: "quantile"})
        return quantile_models.QuantileModels(estimator, list_quantiles(experiment), spec.quantile or "")
    return estimator


def list_quantiles(experiment: Experiment) -> tuple[float, ...]:
    """List the quantiles that a model of the problem `quantile` learns; none for other problems."""
    if experiment.setup.problem != "quantile":
        return ()
    if experiment.setup.conformal is not None:
        miss = quantile_models.compute_miss_rate(experiment.setup.conformal.confidence)
        return (miss / 2, 0.5, 1 - miss / 2)
    return tuple(experiment.setup.quantiles or DEFAULT_QUANTILES)


def fit_model(
    model: pipeline.Pipeline, table: tables.Table, *, experiment: Experiment, threads: int
) -> pipeline.Pipeline:
    """Fit a model in place; BadModelError when the estimator can't learn from this data."""
    name = experiment.estimator.name
    # A wrapper around the estimator has `n_jobs` too, but that starts processes.
    threaded = allow_list.specs()[name].threads and type(model[-1]).__name__ == name
    weights = compute_row_weights(table, experiment=experiment)

    def describe(error: BaseException) -> str:
        return unusable_values.describe_in_fitting(model, table.frame, table.values, error)

    with translate_errors(name, describe=describe):
        if threaded:
            model[-1].set_params(n_jobs=threads)
        self_splitting.fit(model, table, experiment=experiment, weights=weights)
        if threaded:
            # Threads sum up a forest's votes in any order, which changes the last bits of its predictions.
            model[-1].set_params(n_jobs=None)
    return model


def compute_row_weights(table: tables.Table, *, experiment: Experiment) -> targets.Values | None:
    """Compute each row's weight in fitting: its own, times its class's where the estimator has no `class_weight`."""
    uses_class_weight = "class_weight" in allow_list.specs()[experiment.estimator.name].parameters
    if experiment.setup.class_weight is None or uses_class_weight or table.values is None:
        return table.weights
    if experiment.setup.class_weight == "balanced":
        row_class_weights = class_weight.compute_sample_weight("balanced", table.values)
    else:
        encoded = table.encoded
        class_weights = [
            experiment.setup.class_weight.get(targets.format_label(label), 1.0) for label in encoded.labels
        ]
        row_class_weights = np.asarray(class_weights, dtype=np.float64)[encoded.codes]
    return np.asarray(row_class_weights if table.weights is None else row_class_weights * table.weights)


def predict_unseen(model: pipeline.Pipeline, frame: pd.DataFrame, *, experiment: Experiment) -> predictions.Predictions:
    """Predict rows that a model wasn't fitted on; BadModelError when it can't, as with more neighbours than rows."""
    name = experiment.estimator.name
    with translate_errors(name, describe=lambda error: unusable_values.describe_in_prediction(model, frame, error)):
        return predictions.predict(model, frame, problem=experiment.setup.problem)


@contextlib.contextmanager
def translate_errors(name: str, *, describe: Callable[[BaseException], str] = lambda _: "") -> Iterator[None]:
    """Raise what scikit-learn raises as our errors; `describe` may find better words than its own, or else ''."""
    try:
        yield
    except MemoryError as error:
        raise errors.LimitExceededError(f"{name} needs more memory than this worker has: {error}") from error
    except ESTIMATOR_ERRORS as error:
        reason = describe(error) or f"can't be used on this data: {first_paragraph(error)}"
        raise errors.BadModelError(f"{name} {reason}") from error


def first_paragraph(error: BaseException) -> str:
    """Return the first paragraph of a scikit-learn error; what follows it is advice for programmers."""
    return " ".join(f"{error}".split("\n\n")[0].split())[:1000]


def _match_class_weights(experiment: Experiment, values: targets.Values) -> Any:
    """Match the class weights' keys with the labels in their own types; the text `balanced` stays."""
    in_params = experiment.estimator.params.get("class_weight")
    weights: Any = experiment.setup.class_weight if in_params is None else in_params
    if not isinstance(weights, dict):
        return weights
    labels = {targets.format_label(label): label for label in targets.encode(values).labels}
    unknown = sorted(set(weights) - set(labels))
    if unknown:
        raise errors.BadModelError(
            f"class_weight names {unknown[0]!r}, which is no class of the target; the classes are "
            f"{', '.join(list(labels)[:20])}",
            pointer="#/params/class_weight" if in_params is None else "#/params/estimator/params/class_weight",
        )
    return {labels[key].item() if hasattr(labels[key], "item") else labels[key]: weights[key] for key in weights}


def _can_stop_early(values: targets.Values | None, train_fraction: float) -> bool:
    min_rows, max_rows = EARLY_STOPPING_ROWS
    if values is None or values.ndim > 1 or not min_rows <= len(values) * train_fraction <= max_rows:
        return False
    if values.dtype == np.float64:
        return True
    return targets.encode(values).rarest[1] * train_fraction >= EARLY_STOPPING_CLASS_ROWS
