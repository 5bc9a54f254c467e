"""Which columns of the data a training job names, and which its model may learn from."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from shared import column_names, contract, errors
from shared.recipe import compatibility, conditions
from shared.recipe.language import Recipe
from shared.training import segments
from shared.training.setup import TrainingCommand

Command = TypeVar("Command", bound=TrainingCommand)


def find_column(name: str, *, field: str, columns: Mapping[str, contract.Column], pointer: str) -> contract.Column:
    """Find the column that a field names, by name; BadDataError, with the pointer, when there is none."""
    column = columns.get(name)
    if column is None:
        absent = column_names.describe_absent(name, present=columns)
        raise errors.BadDataError(f"the {field} is missing: {absent}", pointer=pointer)
    return column


def by_name(columns: Iterable[contract.Column]) -> dict[str, contract.Column]:
    """Map the names of columns to them."""
    return {column.name: column for column in columns}


def select_features(columns: list[contract.Column], *, excluded: Iterable[str | None]) -> list[contract.Column]:
    """Return the columns that may be learned from: all except the targets, the weight and the group."""
    excluded_names = {*excluded}
    return [column for column in columns if column.name not in excluded_names]


def complete(command: Command, features: contract.FeaturesPin | None) -> Command:
    """Fill in the target of the feature set that a command names, where it names no target itself.

    BadDataError when there is no target to learn, or another one than the feature set's, whose recipe has taken the
    command's for a feature.
    """
    if features is None:
        return command
    named, target = command.target_names, features.target
    if target is None:
        if command.has_target and not named:
            raise errors.BadDataError(
                f"{command.problem} needs a `target`, the column to predict, and {features.label} names none",
                pointer="#/params/target",
            )
        return command
    if named and target not in named:
        raise errors.BadDataError(
            f"{features.label} was fitted with the target {target!r}, but {named[0]!r} is to be predicted here; leave "
            "that out, or use a feature set with that target",
            pointer="#/params/targets" if command.targets else "#/params/target",
        )
    if named or not command.has_target:
        return command
    for field, name in {"sample_weight": command.sample_weight, "validation/group": command.group}.items():
        if name == target:
            raise errors.BadDataError(
                f"column {name!r} is the target of {features.label}; a target, a weight and a group are different "
                "columns",
                pointer=f"#/params/{field}",
            )
    return command.model_copy(update={"target": target})


def list_readable(
    command: TrainingCommand, data: contract.DatasetPin, features: contract.FeaturesPin | None
) -> list[contract.Column]:
    """List the columns that a complete command may read: a feature set's target only where it is the command's too."""
    hidden = {features.target} - {*command.target_names} if features is not None else set()
    return [column for column in data.columns if column.name not in hidden]


def check(command: TrainingCommand, pinned: Mapping[str, Any]) -> None:
    """Refuse columns that the data lacks, and a condition or a recipe that doesn't fit them."""
    data, recipe, features = _read_source(command, pinned)
    command = complete(command, features)
    readable = list_readable(command, data, features)
    columns = by_name(readable)
    for path, name in _list_named_columns(command).items():
        if name is not None:
            field = path.removeprefix("validation/").partition("/")[0]
            find_column(name, field=field, columns=columns, pointer=f"#/params/{path}")
    if command.where is not None:
        conditions.check(command.where, columns=data.columns, pointer="#/params/where")
    if command.per is not None:
        _check_per(command.per, command, columns=by_name(data.columns))
    if recipe is None:
        return
    excluded = [command.target, *(command.targets or []), command.sample_weight, command.group]
    try:
        compatibility.check_for_model(
            recipe, columns=select_features(readable, excluded=excluded), targets=command.target_names
        )
    except errors.PermanentError as error:
        if command.features is not None:
            error.pointer = "#/params/features"
        raise


def _check_per(name: str, command: TrainingCommand, *, columns: Mapping[str, contract.Column]) -> None:
    """Refuse a column whose values can't have models of their own."""
    pointer = "#/params/per"
    column = find_column(name, field="per", columns=columns, pointer=pointer)
    if column.type not in segments.TYPES:
        raise errors.BadDataError(
            f"`per` needs a column of text, booleans or integers, but {name!r} is of type {column.type}; derive one "
            "with few values from it",
            pointer=pointer,
        )
    uses: dict[str, list[str | None]] = {
        "target": [*command.target_names],
        "sample_weight": [command.sample_weight],
        "group": [command.group],
        "time": [command.time],
    }
    for field, names in uses.items():
        if name in names:
            raise errors.BadDataError(
                f"column {name!r} is the {field}, so it can't be what models are trained per", pointer=pointer
            )


def _read_source(
    command: TrainingCommand, pinned: Mapping[str, Any]
) -> tuple[contract.DatasetPin, Recipe | None, contract.FeaturesPin | None]:
    """Return the data, the recipe and the feature set, as far as there are; a feature set brings the other two."""
    if command.features is None:
        return contract.DatasetPin.model_validate(pinned["dataset"]), command.recipe, None
    pin = contract.FeaturesPin.model_validate(pinned["features"])
    return pin.dataset, Recipe.model_validate(pin.recipe), pin


def _list_named_columns(command: TrainingCommand) -> dict[str, str | None]:
    """Return the columns that a command names, by the paths of its fields; None where a field is left out."""
    return {
        "target": command.target,
        **{f"targets/{number}": name for number, name in enumerate(command.targets or [])},
        "sample_weight": command.sample_weight,
        "validation/group": command.group,
        "validation/time": command.time,
    }
