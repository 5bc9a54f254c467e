"""How a search is asked for: which parameters are tried, in which manner, and which trials end early."""

import functools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from shared import contract, scoring
from shared.training import automatic, columns, estimators, experiments

MAX_TRIALS = 1_000
MAX_VALUES = 100
MAX_DIMENSIONS = 20
MAX_CANDIDATES = 20
Method = Literal["grid", "random", "halving", "tpe"]
EarlyEnd = Literal["pruned", "out_of_time"]
TrialEnd = Literal["finished", EarlyEnd]
TrialState = Literal["waiting", "running", TrialEnd, "failed"]
Value = experiments.Scalar | Annotated[list[experiments.Scalar], pydantic.Field(max_length=MAX_VALUES)]
ParameterName = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=100)]
# How many trials wait or run at once when the search doesn't say. What TPE draws gets better with each end it knows;
# the other methods have their draws beforehand, and a window only leaves other jobs their turn.
SEQUENTIAL_PARALLEL, WINDOW = 4, 32
AUTO_TRIALS, AUTO_SECONDS = 40, 600.0


class Values(contract.Document):
    """A parameter that takes one of some values."""

    values: list[Value] = pydantic.Field(min_length=1, max_length=MAX_VALUES, description="The values, each once.")

    @pydantic.model_validator(mode="after")
    def _differ(self) -> "Values":
        # 1 and 1.0 mean different things to scikit-learn, as do 1 and true; their texts differ.
        texts = [repr(value) for value in self.values]
        if len(set(texts)) < len(texts):
            raise ValueError("a value stands twice; give each once")
        return self

    def probes(self) -> list[Value]:
        """Give values by which to check the whole range."""
        return self.values


class Range(contract.Document):
    """A parameter that takes any number of a range."""

    low: float = pydantic.Field(description="The least value.")
    high: float = pydantic.Field(description="The greatest value.")
    log: bool = pydantic.Field(default=False, description="Whether values are spread by their logarithm.")

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        _require_range(self.low, self.high, log=self.log)
        return self

    def probes(self) -> list[Value]:
        """Give values by which to check the whole range."""
        return [float(self.low), float(self.high), self.low + (self.high - self.low) / 2]


class IntRange(contract.Document):
    """A parameter that takes any whole number of a range."""

    int_low: int = pydantic.Field(description="The least value.")
    int_high: int = pydantic.Field(description="The greatest value, which is taken too.")
    log: bool = pydantic.Field(default=False, description="Whether values are spread by their logarithm.")

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> "IntRange":
        _require_range(self.int_low, self.int_high, log=self.log)
        return self

    def probes(self) -> list[Value]:
        """Give values by which to check the whole range."""
        return [self.int_low, self.int_high]


def _require_range(low: float, high: float, *, log: bool) -> None:
    if not all(math.isfinite(bound) and abs(bound) < 2**63 for bound in (low, high)):
        raise ValueError(f"the bounds are {low} and {high}; numbers between -2^63 and 2^63 would do")
    if not low < high:
        raise ValueError(f"the range goes from {low} to {high}; the first must be less than the second")
    if log and low <= 0:
        raise ValueError(f"a range by logarithm can't begin at {low}; a number above 0 would do")


def _sort_of(given: Any) -> str:
    """Tell which sort of dimension is meant by the fields it has, so that faults speak of that sort only."""
    names = given if isinstance(given, Mapping) else getattr(given, "__dict__", {})
    if "values" in names:
        return "values"
    return "int_low" if {"int_low", "int_high"} & set(names) else "low"


Dimension = Annotated[
    Annotated[Values, pydantic.Tag("values")]
    | Annotated[Range, pydantic.Tag("low")]
    | Annotated[IntRange, pydantic.Tag("int_low")],
    pydantic.Discriminator(_sort_of),
]
Space = Annotated[dict[ParameterName, Dimension], pydantic.Field(max_length=MAX_DIMENSIONS)]


class Candidate(experiments.Estimator):
    """An estimator that takes part in a search: what is fixed, and what is tried."""

    space: Space = pydantic.Field(default={}, description="Parameters that are tried, each with its range.")

    @pydantic.model_validator(mode="after")
    def _has_a_sound_space(self) -> "Candidate":
        twice = sorted(set(self.params) & set(self.space))
        if twice:
            raise ValueError(f"{self.name}: {twice[0]!r} is given in `params` and in `space`; leave one out")
        for parameter, dimension in self.space.items():
            for value in dimension.probes():
                estimators.check(self.name, {parameter: value})
        return self

    def estimator(self, params: dict[str, Any]) -> experiments.Estimator:
        """Give the estimator with all parameters of one trial."""
        given = self.model_dump(exclude={"space", "params"})
        return experiments.Estimator.model_validate({**given, "params": params})


class Pruning(contract.Document):
    """End a trial whose mean over the folds so far is worse than the median of the others' at the same fold."""

    method: Literal["median"] = pydantic.Field(default="median", description="The rule.")
    startup_trials: int = pydantic.Field(
        default=5, ge=1, le=MAX_TRIALS, description="Trials that must have ended before any is pruned."
    )
    warmup_folds: int = pydantic.Field(default=1, ge=1, le=50, description="Folds that each trial has in any case.")


class Halving(contract.Document):
    """All candidates on few resources, the best of them on more, as scikit-learn's HalvingRandomSearchCV does."""

    factor: int = pydantic.Field(default=3, ge=2, le=10, description="One of so many goes on to the next rung.")
    resource: ParameterName = pydantic.Field(
        default="rows", description="`rows`, or a parameter that counts rounds or trees, such as `n_estimators`."
    )
    min_resources: int | None = pydantic.Field(
        default=None, ge=1, le=2**31, description="What the first rung has; left out: what makes the last use the most."
    )
    max_resources: int | None = pydantic.Field(
        default=None, ge=1, le=2**31, description="What the last rung may have; left out: all rows."
    )
    aggressive_elimination: bool = pydantic.Field(
        default=False, description="Repeat the first rung where there are too few resources to part all candidates."
    )

    @pydantic.model_validator(mode="after")
    def _has_bounds(self) -> "Halving":
        if self.resource != "rows" and self.max_resources is None:
            raise ValueError(f"give `max_resources`, the greatest {self.resource!r}; only rows have a natural end")
        if self.min_resources and self.max_resources and self.min_resources > self.max_resources:
            raise ValueError(f"min_resources is {self.min_resources}, more than max_resources, {self.max_resources}")
        return self


class Search(contract.Document):
    """How parameters are sought. Each trial is a job of its own, on whichever worker is free."""

    method: Method = pydantic.Field(
        default="random",
        description="`grid`: every combination; `random`: draws; `halving`: many draws on few rows, the best on more; "
        "`tpe`: draws that learn from what has ended (Optuna's).",
    )
    space: Space = pydantic.Field(
        default={},
        description="What is tried for `estimator`; each of `estimators` has a space of its own.",
        examples=[{"C": {"low": 0.001, "high": 100.0, "log": True}, "fit_intercept": {"values": [True, False]}}],
    )
    trials: int = pydantic.Field(
        default=20, ge=1, le=MAX_TRIALS, description="How many are tried; `grid` tries all, and no more than 1,000."
    )
    metric: str | None = pydantic.Field(
        default=None, max_length=100, description="By which metric; the problem's usual one when left out."
    )
    seed: int = pydantic.Field(default=0, ge=0, le=2**32 - 1, description="Seeds the draws.")
    max_seconds: float | None = pydantic.Field(
        default=None,
        gt=0,
        le=86_400,
        description="After this time no trial and no fold is begun; the first trial always ends. The last fit, on "
        "every row, comes on top.",
    )
    parallel: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=256,
        description=f"The most trials that wait or run at once; left out: {SEQUENTIAL_PARALLEL} for `tpe`, "
        f"{WINDOW} for the others. For `tpe`, a draw knows the ends of all trials but the latest so many.",
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
    def most_at_once(self) -> int:
        """The most trials that wait or run at once."""
        return self.parallel or (SEQUENTIAL_PARALLEL if self.method == "tpe" else WINDOW)

    def require(self, candidates: list[Candidate]) -> None:
        """Refuse a method that doesn't go with the candidates; raises ValueError that says what would do."""
        if self.method == "grid":
            _require_grid(candidates)
        if self.method == "halving":
            _require_resource(self.halving or Halving(), candidates)


def _require_grid(candidates: list[Candidate]) -> None:
    points = 0
    for candidate in candidates:
        for parameter, dimension in candidate.space.items():
            if not isinstance(dimension, Values):
                raise ValueError(f"a grid needs `values` for {candidate.name}'s {parameter!r}; a range has no end")
        points += math.prod(len(dimension.probes()) for dimension in candidate.space.values())
    if points > MAX_TRIALS:
        raise ValueError(f"the grid has {points:,} points; at most {MAX_TRIALS:,} are tried: take random or tpe")


def _require_resource(halving: Halving, candidates: list[Candidate]) -> None:
    for candidate in candidates if halving.resource != "rows" else ():
        if halving.resource in {*candidate.params, *candidate.space}:
            raise ValueError(f"{halving.resource!r} is what the rungs change; leave it out of {candidate.name}")
        for amount in (halving.min_resources or 1, halving.max_resources):
            estimators.check(candidate.name, {halving.resource: amount})


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


class SearchModel(experiments.Experiment):
    """Try many parameters of one estimator or of several, and keep the best, fitted on every row, as a new version."""

    estimator: experiments.Estimator | None = pydantic.Field(
        default=None, description="What learns; what is tried stands in the search's `space`. Or give `estimators`."
    )
    estimators: list[Candidate] | Literal["auto"] | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=MAX_CANDIDATES,
        description="Several, side by side, each with its own space; `auto` takes what usually does well.",
    )
    search: Search | None = pydantic.Field(
        default=None,
        description=f"How parameters are sought; with `auto` and without this, {AUTO_TRIALS} trials by `tpe` in "
        f"{AUTO_SECONDS:g} s at most.",
    )

    @pydantic.model_validator(mode="after")
    def _can_be_searched(self) -> "SearchModel":
        if (self.estimator is None) == (self.estimators is None):
            raise ValueError("give either `estimator` or `estimators`, not both and not neither")
        if self.estimator is None and self.how.space:
            raise ValueError("each of `estimators` has a `space` of its own; leave it out of `search`")
        for candidate in self.candidates:
            self.refuse_unfit(candidate)
        self.how.require(self.candidates)
        scoring.require(self.metric, problem=self.problem)
        if self.problem == "anomaly" and self.target is None:
            raise ValueError("a search for anomalies needs a `target`, because only with one can trials be ranked")
        return self

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse columns that the data lacks, and a recipe that doesn't fit it."""
        columns.check(self, pinned)

    @functools.cached_property
    def candidates(self) -> list[Candidate]:
        """What takes part."""
        if self.estimators == "auto":
            return [Candidate.model_validate(each) for each in automatic.CANDIDATES[self.problem]]
        if self.estimators is not None:
            return self.estimators
        given = self.estimator.model_dump() if self.estimator else {}
        return [Candidate.model_validate({**given, "space": self.how.model_dump()["space"]})]

    @property
    def how(self) -> Search:
        """How parameters are sought, also when the request doesn't say."""
        if self.search is not None:
            return self.search
        if self.estimators == "auto":
            return Search(method="tpe", trials=AUTO_TRIALS, max_seconds=AUTO_SECONDS, pruning=Pruning())
        return Search()

    @property
    def metric(self) -> str:
        """What the trials are ranked by."""
        return self.how.metric or scoring.usual(self.problem)

    @property
    def rungs_by(self) -> Halving | None:
        """The rungs of halving; None for the other methods."""
        return (self.how.halving or Halving()) if self.how.method == "halving" else None

    @property
    def by_rows(self) -> bool:
        """Whether trials on lower rungs have fewer rows."""
        return self.rungs_by is not None and self.rungs_by.resource == "rows"


class RunTrial(experiments.Experiment):
    """Validate one estimator with one set of parameters, as a part of a search."""

    estimator: experiments.Estimator = pydantic.Field(description="What learns, with all its parameters.")
    trial: int = pydantic.Field(ge=0, le=MAX_TRIALS * 10, description="The trial's number, from 0.")
    candidate: int = pydantic.Field(ge=0, le=MAX_CANDIDATES, description="Which of the search's candidates it is.")
    metric: str = pydantic.Field(max_length=100, description="What the trials are ranked by.")
    pruning: Pruning | None = pydantic.Field(default=None, description="When it ends early.")
    until: float | None = pydantic.Field(
        default=None, description="After this time, in seconds since the epoch, it begins no further fold."
    )
    rung: int = pydantic.Field(default=0, ge=0, le=100, description="Of halving: on which rung.")
    rungs: list[int] = pydantic.Field(default=[], max_length=100, description="Of halving: what each rung has.")
    by_rows: bool = pydantic.Field(default=False, description="Of halving: whether a rung has so many rows.")
    draws_seed: int = pydantic.Field(
        default=0, ge=0, le=2**32 - 1, description="Of halving: seeds which rows these are."
    )
    dropped: dict[str, str] = pydantic.Field(
        default={}, description="Columns that the inferred recipe leaves out, each with the reason."
    )

    @property
    def resource(self) -> int | None:
        """What the trial's rung has: rows, rounds or trees."""
        return self.rungs[self.rung] if self.rungs else None


class TrialResult(contract.Result):
    """How a trial ended."""

    state: TrialEnd = pydantic.Field(description="On every fold, or early.")
    metrics: dict[str, list[float]] = pydantic.Field(
        description="Each metric that every fold has, on each fold's held-out part."
    )
    seconds: float = pydantic.Field(description="How long it took.")
    warnings: list[str] = pydantic.Field(description="What looks wrong.")


class SearchedModel(experiments.TrainedModel):
    """A model's new version, with how the search for it went."""

    best: LeaderboardRow = pydantic.Field(description="The trial whose parameters the version has.")
    search: Standing = pydantic.Field(description="How the search ended, with its leaderboard.")


KINDS = (
    contract.Kind(
        name="training.search",
        command=SearchModel,
        result=SearchedModel,
        description="Try many parameters, each as a job of its own, and keep the best as a new version of a model.",
    ),
    contract.Kind(
        name="training.trial",
        command=RunTrial,
        result=TrialResult,
        description="Validate one set of parameters as a part of a search.",
        internal=True,
    ),
)
