"""The trials of a search and their ranking."""

import collections
import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.training.search.results import LeaderboardRow, SearchSummary, TrialCounts, TrialState

MAX_ROWS = 200
ENDED = frozenset({"finished", "pruned", "out_of_time", "failed"})


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial: its parameters and its state. `folds` are the metric's values on the folds so far."""

    number: int
    candidate: int
    estimator: str
    params: dict[str, Any]
    state: TrialState = "waiting"
    folds: tuple[float, ...] = ()
    job: str = ""
    rung: int = 0
    resource: int | None = None
    seconds: float | None = None
    error: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the trial has ended, in whatever way."""
        return self.state in ENDED

    @functools.cached_property
    def value(self) -> float | None:
        """The metric's mean over the folds so far, or None without any; cached, because each turn ranks all trials."""
        return float(np.mean(self.folds)) if self.folds else None

    def running_means(self) -> list[float]:
        """Compute the mean over the first fold, over the first two, and so on."""
        return [float(np.mean(self.folds[: fold + 1])) for fold in range(len(self.folds))]


def rank(trials: Sequence[Trial], *, greater_is_better: bool) -> list[Trial]:
    """Sort trials: finished ones first, the last rung first, the best first; in a tie the earlier trial."""

    def sort_key(trial: Trial) -> tuple[bool, int, float, int]:
        value = trial.value if trial.value is not None else math.nan
        cost = math.inf if math.isnan(value) else -value if greater_is_better else value
        return trial.state != "finished", -trial.rung, cost, trial.number

    return sorted(trials, key=sort_key)


def find_best(trials: Sequence[Trial], *, greater_is_better: bool) -> Trial | None:
    """Find the best finished trial of the last rung that has any; None when no trial has finished."""
    first = next(iter(rank(trials, greater_is_better=greater_is_better)), None)
    return first if first is not None and first.state == "finished" else None


def count_states(trials: Sequence[Trial], *, planned: int) -> TrialCounts:
    """Count the trials by their states."""
    states: collections.Counter[str] = collections.Counter(trial.state for trial in trials)
    return TrialCounts(planned=max(planned, len(trials)), **states)


def describe_lost_trials(counts: TrialCounts, *, max_seconds: float) -> list[str]:
    """Describe the trials that the search's time limit has cost; `counts` are those of a search that is over."""
    not_started = counts.planned - counts.finished - counts.pruned - counts.failed - counts.out_of_time
    lost = {"ended early": counts.out_of_time, "never started": not_started}
    if not any(lost.values()):
        return []
    details = " and ".join(f"{count} {outcome}" for outcome, count in lost.items() if count)
    finished = f"{counts.finished} of {counts.planned} trials finished in the {max_seconds:g} s of `max_seconds`"
    return [f"{finished}; {details}: give a greater `max_seconds` for better parameters"]


def summarize(trials: Sequence[Trial], *, metric: str, greater_is_better: bool, planned: int) -> SearchSummary:
    """Summarize a search: the counts of its trials and the first rows of its leaderboard."""
    ranked = rank(trials, greater_is_better=greater_is_better)[:MAX_ROWS]
    return SearchSummary(
        metric=metric,
        greater_is_better=greater_is_better,
        trials=count_states(trials, planned=planned),
        leaderboard=[_to_row(trial, position) for position, trial in enumerate(ranked, start=1)],
    )


def _to_row(trial: Trial, position: int) -> LeaderboardRow:
    return LeaderboardRow(
        rank=position if trial.state == "finished" else None,
        trial=trial.number,
        job=trial.job,
        estimator=trial.estimator,
        params=trial.params,
        state=trial.state,
        value=trial.value,
        std=float(np.std(trial.folds)) if trial.folds else None,
        rung=trial.rung,
        resource=trial.resource,
        seconds=trial.seconds,
        error=trial.error,
    )
