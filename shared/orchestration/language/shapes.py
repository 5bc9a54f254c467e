"""What a kind's command takes and its result has, at each path, read from the annotations of their models."""

import types
import typing
from collections.abc import Mapping
from typing import Any

import pydantic

from shared import contract
from shared.orchestration.language.located import Path

Annotations = tuple[Any, ...]
"""The alternatives that a place has; empty where nothing may stand. `Any` stands for what isn't known."""
UNKNOWN: Annotations = (Any,)
_JSON_TYPES: Mapping[Any, frozenset[str]] = {
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"number"}),
    float: frozenset({"number"}),
    list: frozenset({"array"}),
    tuple: frozenset({"array"}),
    dict: frozenset({"object"}),
    type(None): frozenset({"null"}),
}


def find(root: Any, path: Path) -> Annotations:
    """Find what may stand at a path of a document, whose root is a model or another annotation."""
    found: Annotations = (root,)
    for part in path:
        found = tuple(inner for annotation in found for inner in _look_inside(annotation, part))
    return tuple(member for annotation in found for member in _list_members(annotation))


def find_reference(annotations: Annotations) -> str | None:
    """Return what a reference must name at a place where one is wanted, such as `dataset`; else None."""
    marks = (mark for annotation in annotations for mark in getattr(annotation, "__metadata__", ()))
    return next((mark.to for mark in marks if isinstance(mark, contract.Reference)), None)


def list_types(annotations: Annotations) -> frozenset[str] | None:
    """List the JSON types of what may stand at a place; None when they aren't known."""
    listed: frozenset[str] = frozenset()
    for annotation in annotations:
        named = _list_types(_strip(annotation))
        if named is None:
            return None
        listed |= named
    return listed


def is_version(annotations: Annotations) -> bool:
    """Say whether what stands there has a name and a version, so that it can become a reference."""
    models = [bare for annotation in annotations if _is_model(bare := _strip(annotation))]
    return bool(models) and all({"name", "version"} <= model.model_fields.keys() for model in models)


def list_fields(annotations: Annotations) -> list[str]:
    """List the fields of the models that may stand at a place."""
    models = [bare for annotation in annotations if _is_model(bare := _strip(annotation))]
    return sorted({field.alias or name for model in models for name, field in model.model_fields.items()})


def _look_inside(annotation: Any, part: str | int) -> Annotations:
    members = _list_members(annotation)
    return tuple(inner for member in members for inner in _look_inside_member(_strip(member), part))


def _look_inside_member(annotation: Any, part: str | int) -> Annotations:
    origin, arguments = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if _is_model(annotation):
        return _find_field(annotation, part)
    if origin is dict:
        return () if isinstance(part, int) else arguments[1:] or UNKNOWN
    if origin in (list, tuple):
        # A name taken from a list is taken from each of its members.
        items = tuple(item for item in arguments if item is not ...) or UNKNOWN
        return items if isinstance(part, int) else tuple(_list_of(inner) for inner in _each(items, part))
    return () if _list_types(annotation) is not None else UNKNOWN


def _each(items: Annotations, part: str) -> Annotations:
    return tuple(inner for item in items for inner in _look_inside(item, part))


def _list_of(annotation: Any) -> Any:
    return list.__class_getitem__(annotation)


def _find_field(model: type[pydantic.BaseModel], part: str | int) -> Annotations:
    for name, field in model.model_fields.items():
        if part == (field.alias or name):
            marks = [mark for mark in field.metadata if isinstance(mark, contract.Reference)]
            return (typing.Annotated[field.annotation, *marks],) if marks else (field.annotation,)
    return UNKNOWN if isinstance(part, str) and model.model_config.get("extra") == "allow" else ()


def _list_members(annotation: Any) -> Annotations:
    """List the alternatives of an annotation: the members of a union, and of those inside it."""
    bare = _strip(annotation)
    if typing.get_origin(bare) in (typing.Union, types.UnionType):
        return tuple(inner for member in typing.get_args(bare) for inner in _list_members(member))
    return (annotation,)


def _strip(annotation: Any) -> Any:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _list_types(annotation: Any) -> frozenset[str] | None:
    origin = typing.get_origin(annotation) or annotation
    if _is_model(annotation):
        return frozenset({"object"})
    if origin is typing.Literal:
        return frozenset().union(*(_JSON_TYPES[type(value)] for value in typing.get_args(annotation)))
    if isinstance(origin, type):
        return _JSON_TYPES.get(origin)
    return None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
