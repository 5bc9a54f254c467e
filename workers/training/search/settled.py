"""What a search settles in its first turn and hands to each trial: later turns read it there, and need no data."""

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
class Settled:
    """The recipe, which columns it leaves out and why, what each rung of halving has, and when the time is over."""

    recipe: Recipe
    dropped: dict[str, str]
    rungs: list[int]
    until: float | None = None


def settle(command: SearchModel, experiment: Experiment, table: tables.Table) -> Settled:
    """Look at the data once; BadDataError, BadRecipeError and BadModelError say what no trial could do with it."""
    parts = outer.make_splits(table, experiment=experiment)
    plan = compiling.InferredRecipe(experiment.recipe, dropped={}) if experiment.recipe else None
    if plan is None:
        plan = compiling.infer_recipe(table.frame, columns=experiment.features, target=None)
    compiling.compile_recipe(plan.recipe, columns=experiment.features, numbers_only=True)
    return Settled(plan.recipe, plan.dropped, _rungs(command, table, splits_count=len(parts)))


def _rungs(command: SearchModel, table: tables.Table, *, splits_count: int) -> list[int]:
    if command.halving_settings is None:
        return []
    classes = tables.classes_of(table, problem=command.problem) if command.problem == "classification" else None
    return halving.rungs(
        command.halving_settings,
        candidates=next_trials.first_draws(command),
        least=halving.least_rows(splits_count=splits_count, classes=len(classes or [])) if command.by_rows else 1,
        most=len(table.frame),
    )


def command_of(command: SearchModel, trial: Trial, settled: Settled) -> RunTrial:
    """Give what a trial's job is asked to do."""
    asked: dict[str, Any] = {name: getattr(command, name) for name in TrainingCommand.model_fields}
    # A feature set brings its own recipe, the same for every trial.
    asked["recipe"] = None if command.features is not None else settled.recipe
    return RunTrial(
        **asked,
        estimator=command.candidates[trial.candidate].to_estimator(trial.params),
        trial=trial.number,
        candidate=trial.candidate,
        metric=command.metric,
        pruning=command.search_settings.pruning,
        until=settled.until,
        rung=trial.rung,
        rungs=settled.rungs,
        by_rows=command.by_rows,
        draws_seed=command.search_settings.seed,
        dropped=settled.dropped,
    )


def from_params(params: Mapping[str, Any], *, recipe: Recipe | None) -> Settled:
    """Give what was settled back from a trial's parameters; `recipe` is the feature set's, if there is one."""
    return Settled(
        recipe or Recipe.model_validate(params["recipe"]),
        dropped=params["dropped"],
        rungs=params["rungs"],
        until=params["until"],
    )
