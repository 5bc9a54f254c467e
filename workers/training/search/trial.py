"""Validates one set of parameters, fold after fold, until it has ended, is poor, or the search's time is over."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np

from shared import errors, scoring
from shared.ml import predictions
from shared.training import validations
from shared.training.search.commands import RunTrial
from shared.training.search.results import EarlyEnd, TrialEnd, TrialResult
from workers.training import fit, tables, validation
from workers.training.experiment import Experiment
from workers.training.search import halving, mapped, pruning
from workers.training.search.leaderboard import Trial

Folds = dict[str, list[float]]


class Ended(Exception):  # noqa: N818 - it is no error.
    """The trial ends before its last fold."""

    def __init__(self, state: EarlyEnd) -> None:
        """Say why."""
        self.state = state


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What a trial may know and tell while it runs."""

    show: Callable[[list[float]], None]
    """Is told the metric's values on the folds so far."""
    others: Callable[[], Sequence[Trial]]
    """Gives the search's other trials as they are now."""
    clock: Callable[[], float] = time.time


@dataclasses.dataclass(frozen=True)
class Tried:
    """How a trial ended; `validated` is what it found on every fold, and None when it ended early."""

    result: TrialResult
    validated: validation.Validated | None = None


def run(
    table: tables.Table,
    *,
    experiment: Experiment,
    command: RunTrial,
    threads: int,
    around: Surroundings,
) -> Tried:
    """Validate an experiment whose recipe is settled; raises what training raises, and when the metric is undefined."""
    since = time.monotonic()
    folds: list[validation.Scores] = []

    def report_fold(number: int, scores: validation.Scores) -> None:
        folds.append(scores)
        _go_on_or_end(folds, command, around=around, is_last=number + 1 == len(ready.parts))

    state: TrialEnd = "finished"
    validated = None
    with fit.limited(threads) as noticed:
        ready = fit.prepare(table, experiment)
        if command.by_rows and command.resource is not None:
            fraction = command.resource / len(table.frame)
            shrunk = halving.shrink(ready.parts, fraction=fraction, seed=command.draws_seed)
            ready = dataclasses.replace(ready, parts=shrunk)
        try:
            validated = fit.validate(ready, experiment, threads=threads, report_fold=report_fold)
        except Ended as end:
            state = end.state
    result = TrialResult(
        state=state,
        metrics={name: metric.folds for name, metric in validation.summarize(folds).items()},
        seconds=round(time.monotonic() - since, 3),
        warnings=noticed,
    )
    return Tried(result, validated)


def _go_on_or_end(folds: list[validation.Scores], command: RunTrial, *, around: Surroundings, is_last: bool) -> None:
    """Tell of the folds so far; raises Ended when there shall be no more."""
    if command.metric not in folds[-1]:
        raise errors.BadModelError(
            f"{command.metric} is not defined on fold {len(folds)}; these are: {', '.join(sorted(folds[-1]))}",
            pointer="#/params/search/metric",
        )
    if is_last:
        return
    values = [scores[command.metric] for scores in folds]
    around.show(values)
    if command.until is not None and command.trial > 0 and around.clock() > command.until:
        raise Ended("out_of_time")
    if command.pruning is not None and pruning.is_poor(
        [float(np.mean(values[: place + 1])) for place in range(len(values))],
        around.others(),
        rule=command.pruning,
        greater_is_better=scoring.greater_is_better(command.metric, problem=command.problem),
    ):
        raise Ended("pruned")


def to_arrays(validated: validation.Validated) -> dict[str, mapped.Array]:
    """Give what was predicted out of fold as arrays by name."""
    made = {field.name: getattr(validated.made, field.name) for field in dataclasses.fields(validated.made)}
    return {"rows": validated.rows} | {name: array for name, array in made.items() if array is not None}


def from_arrays(arrays: dict[str, mapped.Array], *, metrics: Folds) -> validation.Validated:
    """Give a validation back from its arrays and from the metrics of its folds."""
    made = {name: array for name, array in arrays.items() if name != "rows"}
    found = {name: _metric(folds) for name, folds in metrics.items()}
    return validation.Validated(found, arrays["rows"], predictions.Predictions(**made))


def _metric(folds: list[float]) -> validations.Metric:
    return validations.Metric(mean=float(np.mean(folds)), std=float(np.std(folds)), folds=folds)
