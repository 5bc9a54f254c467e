"""Which columns of its data a job that trains names, and which it may learn from."""

from collections.abc import Iterable, Mapping
from typing import Any

from shared import column_names, contract, errors
from shared.recipe import fit
from shared.recipe.language import Recipe
from shared.training.setup import TrainingCommand


def column(name: str, *, field: str, columns: list[contract.Column], pointer: str) -> contract.Column:
    """Give a column that a field names; BadDataError, with the pointer, when there is none of that name."""
    for one in columns:
        if one.name == name:
            return one
    absent = column_names.describe_absent(name, present=[one.name for one in columns])
    raise errors.BadDataError(f"the {field} is missing: {absent}", pointer=pointer)


def features(columns: list[contract.Column], *, beside: Iterable[str | None]) -> list[contract.Column]:
    """Give the columns that may be learned from: all beside the targets, the weight and the group."""
    other = {*beside}
    return [one for one in columns if one.name not in other]


def check(command: TrainingCommand, pinned: Mapping[str, Any]) -> None:
    """Refuse columns that the data lacks, and a recipe that doesn't fit those that may be learned from."""
    data, recipe = _source(command, pinned)
    for place, name in _named(command).items():
        if name is not None:
            field = place.removeprefix("validation/").partition("/")[0]
            column(name, field=field, columns=data.columns, pointer=f"#/params/{place}")
    if recipe is None:
        return
    beside = [command.target, *(command.targets or []), command.sample_weight, command.group]
    try:
        fit.check_for_model(recipe, columns=features(data.columns, beside=beside))
    except errors.PermanentError as misfit:
        if command.features is not None:
            misfit.pointer = "#/params/features"
        raise


def _source(command: TrainingCommand, pinned: Mapping[str, Any]) -> tuple[contract.DatasetPin, Recipe | None]:
    """Give the data and the recipe, if there is one; a feature set stands for its own two."""
    if command.features is None:
        return contract.DatasetPin.model_validate(pinned["dataset"]), command.recipe
    given = contract.FeaturesPin.model_validate(pinned["features"])
    return given.dataset, Recipe.model_validate(given.recipe)


def _named(command: TrainingCommand) -> dict[str, str | None]:
    """Give the columns that a command may name, by the places of its fields."""
    return {
        "target": command.target,
        **{f"targets/{number}": name for number, name in enumerate(command.targets or [])},
        "sample_weight": command.sample_weight,
        "validation/group": command.group,
        "validation/time": command.time,
    }
