"""The two kinds of job that make up a search: the search itself, and each of its trials."""

import functools
from collections.abc import Mapping
from typing import Any, Literal

import pydantic

from shared import contract, scoring
from shared.training import automatic, columns
from shared.training.estimators.document import Estimator
from shared.training.search.methods import MAX_TRIALS, Halving, Pruning, Search
from shared.training.search.results import SearchedModel, TrialResult
from shared.training.search.spaces import Candidate
from shared.training.setup import TrainingCommand

MAX_CANDIDATES = 20
AUTO_TRIALS, AUTO_SECONDS = 40, 600.0


class SearchModel(TrainingCommand):
    """Try many parameters of one or several estimators, and keep the best, fitted on all rows, as a new version."""

    estimator: Estimator | None = pydantic.Field(
        default=None,
        description="The estimator to tune; the search's `space` holds what is tried. Or give `estimators`.",
    )
    estimators: list[Candidate] | Literal["auto"] | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=MAX_CANDIDATES,
        description="Several estimators, each with its own space; `auto` takes those that usually do well.",
    )
    search: Search | None = pydantic.Field(
        default=None,
        description=f"How parameters are searched; with `auto` and without this, {AUTO_TRIALS} trials by `tpe` in "
        f"{AUTO_SECONDS:g} s at most.",
    )

    @pydantic.model_validator(mode="after")
    def _can_be_searched(self) -> "SearchModel":
        if (self.estimator is None) == (self.estimators is None):
            raise ValueError("give either `estimator` or `estimators`, not both and not neither")
        if self.estimator is None and self.search_settings.space:
            raise ValueError("each of `estimators` has a `space` of its own; leave it out of `search`")
        for candidate in self.candidates:
            self.require_suitable(candidate)
        self.search_settings.check_candidates(self.candidates)
        scoring.require_metric(self.metric, problem=self.problem)
        if self.per is not None:
            raise ValueError(
                "`per` can't be combined with a search; search first, and train the best estimator with `per`, or "
                "search with a `where` for each value"
            )
        if self.problem == "anomaly" and self.target is None:
            raise ValueError("a search for anomalies needs a `target`, because only with one can trials be ranked")
        return self

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse columns that the data lacks, and a recipe that doesn't fit it."""
        columns.check(self, pinned)

    @functools.cached_property
    def candidates(self) -> list[Candidate]:
        """The estimators that take part, each with its space."""
        if self.estimators == "auto":
            return [Candidate.model_validate(candidate) for candidate in automatic.CANDIDATES[self.problem]]
        if self.estimators is not None:
            return self.estimators
        estimator = self.estimator.model_dump() if self.estimator else {}
        return [Candidate.model_validate({**estimator, "space": self.search_settings.model_dump()["space"]})]

    @property
    def search_settings(self) -> Search:
        """How parameters are searched, with the defaults when the request has no `search`."""
        if self.search is not None:
            return self.search
        if self.estimators == "auto":
            return Search(method="tpe", trials=AUTO_TRIALS, max_seconds=AUTO_SECONDS, pruning=Pruning())
        return Search()

    @property
    def metric(self) -> str:
        """The metric that the trials are ranked by."""
        return self.search_settings.metric or scoring.default_metric(self.problem)

    @property
    def halving_settings(self) -> Halving | None:
        """The rungs of halving; None for the other methods."""
        return (self.search_settings.halving or Halving()) if self.search_settings.method == "halving" else None

    @property
    def by_rows(self) -> bool:
        """Whether trials on lower rungs have fewer rows."""
        return self.halving_settings is not None and self.halving_settings.resource == "rows"


class RunTrial(TrainingCommand):
    """Validate one estimator with one set of parameters, as a trial of a search."""

    estimator: Estimator = pydantic.Field(description="The estimator, with all its parameters.")
    trial: int = pydantic.Field(ge=0, le=MAX_TRIALS * 10, description="The trial's number, from 0.")
    candidate: int = pydantic.Field(ge=0, le=MAX_CANDIDATES, description="Which of the search's candidates it is.")
    metric: str = pydantic.Field(max_length=100, description="The metric that the trials are ranked by.")
    pruning: Pruning | None = pydantic.Field(default=None, description="When the trial ends early.")
    until: float | None = pydantic.Field(
        default=None, description="After this time, in seconds since the epoch, no further fold is started."
    )
    rung: int = pydantic.Field(default=0, ge=0, le=100, description="For halving: the trial's rung, from 0.")
    rungs: list[int] = pydantic.Field(default=[], max_length=100, description="For halving: each rung's resources.")
    by_rows: bool = pydantic.Field(default=False, description="For halving: whether the resource is rows.")
    draws_seed: int = pydantic.Field(
        default=0, ge=0, le=2**32 - 1, description="For halving: seeds the choice of a rung's rows."
    )
    dropped: dict[str, str] = pydantic.Field(
        default={}, description="Columns that the inferred recipe leaves out, each with the reason."
    )

    @property
    def resource(self) -> int | None:
        """The resources of the trial's rung: rows, rounds or trees."""
        return self.rungs[self.rung] if self.rungs else None


SEARCH = contract.Kind(
    name="training.search",
    command=SearchModel,
    result=SearchedModel,
    description="Try many parameters, each as a job of its own, and keep the best as a new version of a model.",
)
TRIAL = contract.Kind(
    name="training.trial",
    command=RunTrial,
    result=TrialResult,
    description="Validate one set of parameters as a trial of a search.",
    internal=True,
)
