"""The plan of a search, what all its trials share: made in the first turn and passed to each trial in its parameters.

Later turns read the plan from the trials, so they need no data: docs/decisions/search.md, "A search remembers nothing
but its children".
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from shared.ml.recipes import compiling
from shared.recipe.language import Recipe
from shared.training.search.commands import RunTrial, SearchModel
from shared.training.setup import TrainingCommand
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.search import halving, next_trials
from workers.training.search.leaderboard import Trial
from workers.training.splits import outer


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """The recipe, the columns it leaves out and why, each rung's resources, and when the search's time is over."""

    recipe: Recipe
    dropped: dict[str, str]
    rungs: list[int]
    until: float | None = None


def make_plan(command: SearchModel, experiment: Experiment, table: tables.Table) -> SearchPlan:
    """Make the plan from the data; BadDataError, BadRecipeError or BadModelError when every trial would fail on it."""
    splits = outer.make_splits(table, experiment=experiment)
    inferred = compiling.InferredRecipe(experiment.recipe, dropped={}) if experiment.recipe else None
    if inferred is None:
        inferred = compiling.infer_recipe(table.frame, columns=experiment.features, target=None)
    compiling.compile_recipe(
        inferred.recipe, columns=experiment.features, targets=command.target_names, numbers_only=True
    )
    return SearchPlan(
        recipe=inferred.recipe,
        dropped=inferred.dropped,
        rungs=_plan_rungs(command, table, splits_count=len(splits)),
    )


def _plan_rungs(command: SearchModel, table: tables.Table, *, splits_count: int) -> list[int]:
    if command.halving_settings is None:
        return []
    classes = tables.list_classes(table, problem=command.problem) if command.problem == "classification" else None
    first_rung_rows = halving.count_first_rung_rows(splits_count=splits_count, classes=len(classes or []))
    return halving.plan_rungs(
        command.halving_settings,
        candidates=next_trials.count_first_draws(command),
        min_resources=first_rung_rows if command.by_rows else 1,
        available=len(table.frame),
    )


def make_trial_command(command: SearchModel, trial: Trial, plan: SearchPlan) -> RunTrial:
    """Make the command of a trial's job."""
    setup: dict[str, Any] = {name: getattr(command, name) for name in TrainingCommand.model_fields}
    # A feature set brings its own recipe, the same for every trial.
    setup["recipe"] = None if command.features is not None else plan.recipe
    return RunTrial(
        **setup,
        estimator=command.candidates[trial.candidate].to_estimator(trial.params),
        trial=trial.number,
        candidate=trial.candidate,
        metric=command.metric,
        pruning=command.search_settings.pruning,
        until=plan.until,
        rung=trial.rung,
        rungs=plan.rungs,
        by_rows=command.by_rows,
        draws_seed=command.search_settings.seed,
        dropped=plan.dropped,
    )


def from_params(params: Mapping[str, Any], *, recipe: Recipe | None) -> SearchPlan:
    """Read the plan from a trial's parameters; `recipe` is the feature set's, if there is one."""
    return SearchPlan(
        recipe=recipe or Recipe.model_validate(params["recipe"]),
        dropped=params["dropped"],
        rungs=params["rungs"],
        until=params["until"],
    )
