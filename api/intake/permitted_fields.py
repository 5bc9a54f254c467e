"""Lists the fields that a document may have where it has one that is not permitted."""

import typing
from collections.abc import Sequence
from typing import Any

import pydantic

Model = type[pydantic.BaseModel]


def list_permitted(model: Model, loc: Sequence[int | str]) -> list[str]:
    """List the fields that are permitted at `loc`, pydantic's location of a field that is not."""
    models = [model]
    for part in loc[:-1]:
        if len(models) > 1:
            inner_models = [member for member in models if _is_named(member, part)]
        else:
            inner_models = _find_field_models(models[0], part)
        # Indexes of lists and keys of dictionaries don't change the models.
        models = inner_models or models
    return sorted({field.alias or name for member in models for name, field in member.model_fields.items()})


def _find_field_models(model: Model, part: int | str) -> list[Model]:
    return find_models(model.model_fields[str(part)].annotation) if part in model.model_fields else []


def _is_named(model: Model, part: int | str) -> bool:
    """Return whether `part` names a model in a union, by the model's name or its tag."""
    tags = (tag for field in model.model_fields.values() for tag in _literal_values(field.annotation))
    return part == model.__name__ or part in tags


def _literal_values(annotation: Any) -> tuple[Any, ...]:
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()


def find_models(annotation: Any) -> list[Model]:
    """List the models that an annotation names, also inside unions and lists."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in find_models(part)]
