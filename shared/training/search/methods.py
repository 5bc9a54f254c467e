"""The methods of a search: how parameters are chosen, and which trials end early."""

import math
from typing import Literal

import pydantic

from shared import contract
from shared.training.estimators import checks
from shared.training.search.spaces import SPACE, Candidate, ParameterName, Space, Values

MAX_TRIALS = 1_000
Method = Literal["grid", "random", "halving", "tpe"]
# How many trials wait or run at once when the search doesn't say. TPE draws better the more finished trials it knows;
# the other methods make their draws beforehand, and the window only leaves room for other jobs.
SEQUENTIAL_PARALLEL, WINDOW = 4, 32


class Pruning(contract.Document):
    """End a trial whose mean over the folds so far is worse than the median of the other trials' at the same fold."""

    method: Literal["median"] = pydantic.Field(default="median", description="The rule.")
    startup_trials: int = pydantic.Field(
        default=5, ge=1, le=MAX_TRIALS, description="Trials that must have ended before any is pruned."
    )
    warmup_folds: int = pydantic.Field(default=1, ge=1, le=50, description="Folds that each trial runs in any case.")


class Halving(contract.Document):
    """Try all candidates with few resources, the best of them with more, as scikit-learn's HalvingRandomSearchCV."""

    factor: int = pydantic.Field(default=3, ge=2, le=10, description="One in so many goes on to the next rung.")
    resource: ParameterName = pydantic.Field(
        default="rows", description="`rows`, or a parameter that counts rounds or trees, such as `n_estimators`."
    )
    min_resources: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=2**31,
        description="The first rung's resources; when left out, such that the last rung uses as many as possible.",
    )
    max_resources: int | None = pydantic.Field(
        default=None, ge=1, le=2**31, description="The most resources of the last rung; all rows when left out."
    )
    aggressive_elimination: bool = pydantic.Field(
        default=False, description="Repeat the first rung where there are too few resources for all eliminations."
    )

    @pydantic.model_validator(mode="after")
    def _has_bounds(self) -> "Halving":
        if self.resource != "rows" and self.max_resources is None:
            raise ValueError(f"give `max_resources`, the greatest {self.resource!r}; only rows have a natural limit")
        if self.min_resources and self.max_resources and self.min_resources > self.max_resources:
            raise ValueError(f"min_resources is {self.min_resources}, more than max_resources, {self.max_resources}")
        return self


class Search(contract.Document):
    """How parameters are searched. Each trial is a job of its own, on whichever worker is free."""

    method: Method = pydantic.Field(
        default="random",
        description="`grid`: every combination; `random`: draws; `halving`: many draws on few rows, the best on more; "
        "`tpe`: draws that learn from finished trials (Optuna's).",
    )
    space: Space = pydantic.Field(
        default={},
        description=f"What is tried for `estimator`; each of `estimators` has a space of its own. {SPACE}",
        examples=[
            {"C": {"low": 0.001, "high": 100.0, "log": True}, "fit_intercept": {"values": [True, False]}},
            {"C": [0.1, 1, 10], "class_weight": [None, "balanced"], "solver": "saga"},
        ],
    )
    trials: int = pydantic.Field(
        default=20, ge=1, le=MAX_TRIALS, description="How many trials; `grid` tries all points, at most 1,000."
    )
    metric: str | None = pydantic.Field(
        default=None, max_length=100, description="The metric to rank by; the problem's usual one when left out."
    )
    seed: int = pydantic.Field(default=0, ge=0, le=2**32 - 1, description="Seeds the draws.")
    max_seconds: float | None = pydantic.Field(
        default=None,
        gt=0,
        le=86_400,
        description="After this time no trial and no fold is started; the first trial always finishes. The last fit, "
        "on all rows, takes additional time.",
    )
    parallel: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=256,
        description=f"The most trials that wait or run at once; when left out, {SEQUENTIAL_PARALLEL} for `tpe` and "
        f"{WINDOW} for the others. A draw of `tpe` knows the results of all trials but the latest `parallel - 1`.",
    )
    pruning: Pruning | None = pydantic.Field(default=None, description="Which trials end early; none when left out.")
    halving: Halving | None = pydantic.Field(default=None, description="The rungs of `halving`.")

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> "Search":
        if self.halving is not None and self.method != "halving":
            raise ValueError(f"`halving` is for the method halving, not {self.method}; leave it out")
        if self.pruning is not None and self.method == "halving":
            raise ValueError("the method halving drops poor trials by itself; leave `pruning` out")
        return self

    @property
    def max_parallel(self) -> int:
        """The most trials that wait or run at once."""
        return self.parallel or (SEQUENTIAL_PARALLEL if self.method == "tpe" else WINDOW)

    def check_candidates(self, candidates: list[Candidate]) -> None:
        """Raise ValueError, saying what helps, when the method can't be used with the candidates."""
        if self.method == "grid":
            _require_grid(candidates)
        if self.method == "halving":
            _require_resource(self.halving or Halving(), candidates)


def _require_grid(candidates: list[Candidate]) -> None:
    points = 0
    for candidate in candidates:
        for parameter, dimension in candidate.space.items():
            if not isinstance(dimension, Values):
                raise ValueError(
                    f"a grid needs a list of values for {candidate.name}'s {parameter!r}; a range can't be listed"
                )
        points += math.prod(len(dimension.values_to_check()) for dimension in candidate.space.values())
    if points > MAX_TRIALS:
        raise ValueError(f"the grid has {points:,} points; at most {MAX_TRIALS:,} are tried: use random or tpe")


def _require_resource(halving: Halving, candidates: list[Candidate]) -> None:
    for candidate in candidates if halving.resource != "rows" else ():
        if halving.resource in {*candidate.params, *candidate.space}:
            raise ValueError(f"{halving.resource!r} is what the rungs change; leave it out of {candidate.name}")
        for amount in (halving.min_resources or 1, halving.max_resources):
            checks.check(candidate.name, {halving.resource: amount})
