"""The results of a search and its trials: the leaderboard, the counts of trials, and the best as a new version."""

from typing import Literal

import pydantic

from shared import contract
from shared.training import validations
from shared.training.trained import TrainedModel

EarlyEnd = Literal["pruned", "out_of_time"]
TrialEnd = Literal["finished", EarlyEnd]
TrialState = Literal["waiting", "running", TrialEnd, "failed"]


class LeaderboardRow(contract.Result):
    """A trial of a search."""

    rank: int | None = pydantic.Field(description="The trial's rank, from 1; null when it has not finished.")
    trial: int = pydantic.Field(description="The trial's number, from 0.")
    job: str = pydantic.Field(description="The trial's job.")
    estimator: str = pydantic.Field(description="The estimator.")
    params: dict[str, pydantic.JsonValue] = pydantic.Field(description="The estimator's parameters.")
    state: TrialState = pydantic.Field(description="The trial's state at the search's last turn, or how it ended.")
    value: float | None = pydantic.Field(description="The metric's mean over the folds; of a pruned trial, so far.")
    std: float | None = pydantic.Field(description="The metric's standard deviation over the folds (population).")
    rung: int = pydantic.Field(default=0, description="For halving: the rung, from 0.")
    resource: int | None = pydantic.Field(default=None, description="For halving: how many rows, rounds or trees.")
    seconds: float | None = pydantic.Field(description="How long the trial took.")
    error: str | None = pydantic.Field(description="Why the trial failed.")


class TrialCounts(contract.Result):
    """How many trials there are."""

    planned: int = pydantic.Field(description="How many there will be, if time allows.")
    waiting: int = pydantic.Field(default=0, description="Not started.")
    running: int = pydantic.Field(default=0, description="Running.")
    finished: int = pydantic.Field(default=0, description="Finished on every fold.")
    pruned: int = pydantic.Field(default=0, description="Ended early, because others were better.")
    out_of_time: int = pydantic.Field(default=0, description="Ended early, because `max_seconds` had passed.")
    failed: int = pydantic.Field(default=0, description="Ended with an error.")


class SearchSummary(contract.Result):
    """A search as of its last turn; unlike this, the `children` of its job are counted when they are read."""

    metric: str = pydantic.Field(description="The metric that the trials are ranked by.")
    greater_is_better: bool = pydantic.Field(description="Whether the greatest value is the best.")
    trials: TrialCounts = pydantic.Field(description="How many trials there are.")
    leaderboard: list[LeaderboardRow] = pydantic.Field(
        description="The trials, the best first, with their states at the search's last turn; at most 200."
    )


class TrialResult(contract.Result):
    """How a trial ended."""

    state: TrialEnd = pydantic.Field(description="Whether it finished on every fold, or ended early.")
    metrics: dict[str, list[float | None]] = pydantic.Field(
        description="Each metric, on each fold's held-out rows; null where it is undefined."
    )
    undefined: dict[str, list[validations.UndefinedFold]] = pydantic.Field(
        default={}, description="The folds on which a metric is undefined, by metric."
    )
    seconds: float = pydantic.Field(description="How long the trial took.")
    warnings: list[str] = pydantic.Field(description="What looks wrong.")


class SearchedModel(TrainedModel):
    """A model's new version, with the search that found it."""

    best: LeaderboardRow = pydantic.Field(description="The trial whose parameters the version has.")
    search: SearchSummary = pydantic.Field(description="The search as it ended, with its leaderboard.")
