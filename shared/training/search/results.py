"""What a search and its trials answer: the leaderboard, how many trials there are, and the best as a new version."""

from typing import Literal

import pydantic

from shared import contract
from shared.training.trained import TrainedModel

EarlyEnd = Literal["pruned", "out_of_time"]
TrialEnd = Literal["finished", EarlyEnd]
TrialState = Literal["waiting", "running", TrialEnd, "failed"]


class LeaderboardRow(contract.Result):
    """A trial of a search."""

    rank: int | None = pydantic.Field(description="Its place, from 1; none when it has no value.")
    trial: int = pydantic.Field(description="Its number, from 0.")
    job: str = pydantic.Field(description="The job that did it.")
    estimator: str = pydantic.Field(description="What learned.")
    params: dict[str, pydantic.JsonValue] = pydantic.Field(description="With which parameters.")
    state: TrialState = pydantic.Field(description="How far it was at the search's last turn, or how it ended.")
    value: float | None = pydantic.Field(description="The metric's mean over the folds; of a pruned trial, so far.")
    std: float | None = pydantic.Field(description="Its standard deviation over the folds (population).")
    rung: int = pydantic.Field(default=0, description="Of halving: on which rung, from 0.")
    resource: int | None = pydantic.Field(default=None, description="Of halving: with how many rows, rounds or trees.")
    seconds: float | None = pydantic.Field(description="How long it took.")
    error: str | None = pydantic.Field(description="Why it failed.")


class TrialCounts(contract.Result):
    """How many trials there are."""

    planned: int = pydantic.Field(description="As many as there will be, if time allows.")
    waiting: int = pydantic.Field(default=0, description="Not begun.")
    running: int = pydantic.Field(default=0, description="Under way.")
    finished: int = pydantic.Field(default=0, description="Ended on every fold.")
    pruned: int = pydantic.Field(default=0, description="Ended early, because others were better.")
    out_of_time: int = pydantic.Field(default=0, description="Ended early, because `max_seconds` were over.")
    failed: int = pydantic.Field(default=0, description="Ended with an error.")


class Standing(contract.Result):
    """How a search stands, as of its last turn; the `children` of its job are counted now."""

    metric: str = pydantic.Field(description="What the trials are ranked by.")
    greater_is_better: bool = pydantic.Field(description="Whether the greatest value is the best.")
    trials: TrialCounts = pydantic.Field(description="How many trials there are.")
    leaderboard: list[LeaderboardRow] = pydantic.Field(
        description="The trials, the best first, with their states at the search's last turn; at most 200."
    )


class TrialResult(contract.Result):
    """How a trial ended."""

    state: TrialEnd = pydantic.Field(description="On every fold, or early.")
    metrics: dict[str, list[float]] = pydantic.Field(
        description="Each metric that every fold has, on each fold's held-out part."
    )
    seconds: float = pydantic.Field(description="How long it took.")
    warnings: list[str] = pydantic.Field(description="What looks wrong.")


class SearchedModel(TrainedModel):
    """A model's new version, with how the search for it went."""

    best: LeaderboardRow = pydantic.Field(description="The trial whose parameters the version has.")
    search: Standing = pydantic.Field(description="How the search ended, with its leaderboard.")
