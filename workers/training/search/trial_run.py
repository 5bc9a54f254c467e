"""Runs a trial: validates one set of parameters fold by fold, until it is done, poor, or the search's time is over."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np

from shared import errors, scoring
from shared.ml import predictions
from shared.training.search.commands import RunTrial
from shared.training.search.results import EarlyEnd, TrialEnd, TrialResult
from workers.training import fit, libraries, tables, validation
from workers.training.experiment import Experiment
from workers.training.search import halving, mapped, pruning
from workers.training.search.leaderboard import Trial


class TrialEnded(Exception):  # noqa: N818 - it is not an error.
    """The trial ends before its last fold."""

    def __init__(self, state: EarlyEnd) -> None:
        """Keep the state in which the trial ends."""
        self.state = state


@dataclasses.dataclass(frozen=True)
class TrialContext:
    """How a trial reports its progress, and what it may know of the search while it runs."""

    show: Callable[[list[float]], None]
    """Shows the metric's values on the folds so far."""
    others: Callable[[], Sequence[Trial]]
    """Returns the search's other trials in their current states."""
    clock: Callable[[], float] = time.time


@dataclasses.dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended; `validated` is its validation on all folds, and None when it ended early."""

    result: TrialResult
    validated: validation.Validated | None = None


def run(
    table: tables.Table,
    *,
    experiment: Experiment,
    command: RunTrial,
    threads: int,
    context: TrialContext,
) -> TrialOutcome:
    """Validate an experiment with a recipe; raises what training does, and BadModelError for an undefined metric."""
    started = time.monotonic()
    folds: list[validation.FoldScores] = []

    def report_fold(number: int, scores: validation.FoldScores) -> None:
        folds.append(scores)
        _end_if_due(folds, command, context=context, is_last=number + 1 == len(prepared.splits))

    state: TrialEnd = "finished"
    validated = None
    with libraries.limit_threads(threads) as caught:
        prepared = fit.prepare(table, experiment)
        if command.by_rows and command.resource is not None:
            fraction = command.resource / len(table.frame)
            splits = halving.shrink_splits(prepared.splits, fraction=fraction, seed=command.draws_seed)
            prepared = dataclasses.replace(prepared, splits=splits)
        try:
            validated = fit.validate(prepared, experiment, threads=threads, report_fold=report_fold)
        except TrialEnded as end:
            state = end.state
    summary = validation.summarize(folds)
    result = TrialResult(
        state=state,
        metrics={name: metric.folds for name, metric in summary.items()},
        undefined={name: metric.undefined for name, metric in summary.items() if metric.undefined},
        seconds=round(time.monotonic() - started, 3),
        warnings=caught,
    )
    return TrialOutcome(result, validated)


def _end_if_due(folds: list[validation.FoldScores], command: RunTrial, *, context: TrialContext, is_last: bool) -> None:
    """Show the folds so far; raises TrialEnded when the trial is to end early."""
    latest = folds[-1]
    if command.metric not in latest.metrics:
        reason = latest.undefined.get(command.metric)
        raise errors.BadModelError(
            f"{command.metric} is not defined on fold {len(folds)}{f' ({reason})' if reason else ''}; "
            f"these are: {', '.join(sorted(latest.metrics))}",
            pointer="#/params/search/metric",
        )
    if is_last:
        return
    values = [scores.metrics[command.metric] for scores in folds]
    context.show(values)
    if command.until is not None and command.trial > 0 and context.clock() > command.until:
        raise TrialEnded("out_of_time")
    if command.pruning is not None and pruning.is_poor(
        [float(np.mean(values[: fold + 1])) for fold in range(len(values))],
        context.others(),
        rule=command.pruning,
        greater_is_better=scoring.greater_is_better(command.metric, problem=command.problem),
    ):
        raise TrialEnded("pruned")


def to_arrays(validated: validation.Validated) -> dict[str, mapped.Array]:
    """Return the out-of-fold predictions as arrays by name."""
    fields = {field.name: getattr(validated.predicted, field.name) for field in dataclasses.fields(validated.predicted)}
    return {"rows": validated.rows} | {name: array for name, array in fields.items() if array is not None}


def from_arrays(arrays: dict[str, mapped.Array], *, result: TrialResult) -> validation.Validated:
    """Rebuild a trial's validation from its arrays and its result."""
    fields = {name: array for name, array in arrays.items() if name != "rows"}
    metrics = {
        name: validation.make_metric(
            folds, reasons={place.fold: place.reason for place in result.undefined.get(name, [])}
        )
        for name, folds in result.metrics.items()
    }
    return validation.Validated(metrics, arrays["rows"], predictions.Predictions(**fields))
