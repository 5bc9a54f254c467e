"""Which columns of the data a training job names, and which its model may learn from."""

from collections.abc import Iterable, Mapping
from typing import Any

from shared import column_names, contract, errors
from shared.recipe import compatibility
from shared.recipe.language import Recipe
from shared.training.setup import TrainingCommand


def find_column(name: str, *, field: str, columns: list[contract.Column], pointer: str) -> contract.Column:
    """Find the column that a field names; BadDataError, with the pointer, when there is none of that name."""
    for column in columns:
        if column.name == name:
            return column
    absent = column_names.describe_absent(name, present=[column.name for column in columns])
    raise errors.BadDataError(f"the {field} is missing: {absent}", pointer=pointer)


def select_features(columns: list[contract.Column], *, excluded: Iterable[str | None]) -> list[contract.Column]:
    """Return the columns that may be learned from: all except the targets, the weight and the group."""
    excluded_names = {*excluded}
    return [column for column in columns if column.name not in excluded_names]


def check(command: TrainingCommand, pinned: Mapping[str, Any]) -> None:
    """Refuse columns that the data lacks, and a recipe that doesn't fit those that may be learned from."""
    data, recipe = _read_source(command, pinned)
    for path, name in _list_named_columns(command).items():
        if name is not None:
            field = path.removeprefix("validation/").partition("/")[0]
            find_column(name, field=field, columns=data.columns, pointer=f"#/params/{path}")
    if recipe is None:
        return
    excluded = [command.target, *(command.targets or []), command.sample_weight, command.group]
    try:
        compatibility.check_for_model(recipe, columns=select_features(data.columns, excluded=excluded))
    except errors.PermanentError as error:
        if command.features is not None:
            error.pointer = "#/params/features"
        raise


def _read_source(command: TrainingCommand, pinned: Mapping[str, Any]) -> tuple[contract.DatasetPin, Recipe | None]:
    """Return the data and the recipe, if there is one; a feature set brings its own dataset and recipe."""
    if command.features is None:
        return contract.DatasetPin.model_validate(pinned["dataset"]), command.recipe
    pin = contract.FeaturesPin.model_validate(pinned["features"])
    return pin.dataset, Recipe.model_validate(pin.recipe)


def _list_named_columns(command: TrainingCommand) -> dict[str, str | None]:
    """Return the columns that a command names, by the paths of its fields; None where a field is left out."""
    return {
        "target": command.target,
        **{f"targets/{number}": name for number, name in enumerate(command.targets or [])},
        "sample_weight": command.sample_weight,
        "validation/group": command.group,
        "validation/time": command.time,
    }
