"""The trials of a search as they stand, in order of how well they do."""

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
    """One trial: what it tries, and how far it is. `folds` are the metric's values on the folds so far."""

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
        """Whether nothing more comes of it."""
        return self.state in ENDED

    @functools.cached_property
    def value(self) -> float | None:
        """The metric's mean over the folds so far, or None without any; kept, because each turn ranks all trials."""
        return float(np.mean(self.folds)) if self.folds else None

    def means(self) -> list[float]:
        """Give the mean over the first fold, over the first two, and so on."""
        return [float(np.mean(self.folds[: place + 1])) for place in range(len(self.folds))]


def rank(trials: Sequence[Trial], *, greater_is_better: bool) -> list[Trial]:
    """Sort trials: the last rung first, in it what has finished, best first; the earlier one wins a tie."""

    def place(trial: Trial) -> tuple[bool, int, float, int]:
        value = trial.value if trial.value is not None else math.nan
        worth = math.inf if math.isnan(value) else -value if greater_is_better else value
        return trial.state != "finished", -trial.rung, worth, trial.number

    return sorted(trials, key=place)


def best(trials: Sequence[Trial], *, greater_is_better: bool) -> Trial | None:
    """Give the best of the trials that have finished, of the last rung that has any; None when there is none."""
    first = rank(trials, greater_is_better=greater_is_better)[:1]
    return first[0] if first and first[0].state == "finished" else None


def count(trials: Sequence[Trial], *, planned: int) -> TrialCounts:
    """Count the trials by their states."""
    states: collections.Counter[str] = collections.Counter(trial.state for trial in trials)
    return TrialCounts(planned=max(planned, len(trials)), **states)


def time_notes(counts: TrialCounts, *, max_seconds: float) -> list[str]:
    """Tell what the end of the search's time has cost; `counts` are those of a search that is over."""
    unbegun = counts.planned - counts.finished - counts.pruned - counts.failed - counts.out_of_time
    lost = {"ended early": counts.out_of_time, "never begun": unbegun}
    if not any(lost.values()):
        return []
    told = " and ".join(f"{count} {how}" for how, count in lost.items() if count)
    ended = f"{counts.finished} of {counts.planned} trials finished in the {max_seconds:g} s of `max_seconds`"
    return [f"{ended}; {told}: give more for better parameters"]


def standing(trials: Sequence[Trial], *, metric: str, greater_is_better: bool, planned: int) -> SearchSummary:
    """Give the leaderboard with its first rows."""
    ranked = rank(trials, greater_is_better=greater_is_better)[:MAX_ROWS]
    return SearchSummary(
        metric=metric,
        greater_is_better=greater_is_better,
        trials=count(trials, planned=planned),
        leaderboard=[_row(trial, place) for place, trial in enumerate(ranked, start=1)],
    )


def _row(trial: Trial, place: int) -> LeaderboardRow:
    return LeaderboardRow(
        rank=place if trial.state == "finished" else None,
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
