"""Which fields a document may have at the place where it has one that it may not."""

import typing
from collections.abc import Sequence
from typing import Any

import pydantic

Model = type[pydantic.BaseModel]


def permitted(model: Model, loc: Sequence[int | str]) -> list[str]:
    """Give the names of the fields beside the one at `loc`, which pydantic refused."""
    models = [model]
    for part in loc[:-1]:
        found = [one for one in models if _is_called(one, part)] if len(models) > 1 else _below(models[0], part)
        # Places in lists and keys of free dictionaries lead to the same models.
        models = found or models
    return sorted({field.alias or name for one in models for name, field in one.model_fields.items()})


def _below(model: Model, part: int | str) -> list[Model]:
    return models_in(model.model_fields[str(part)].annotation) if part in model.model_fields else []


def _is_called(model: Model, part: int | str) -> bool:
    """Tell whether a part is a model's name or tag among those of a union."""
    tags = (tag for field in model.model_fields.values() for tag in _tags(field.annotation))
    return part == model.__name__ or part in tags


def _tags(annotation: Any) -> tuple[Any, ...]:
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()


def models_in(annotation: Any) -> list[Model]:
    """List the models that an annotation names, also inside unions and lists."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]
