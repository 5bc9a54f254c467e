"""Follows pydantic's findings through a model's schema: where in the document each is, and what would do there.

Pydantic's own locations also name the branches of unions, which are no places of a document.
"""

import dataclasses
import functools
import json
from typing import Any

import pydantic

Schema = dict[str, Any]
"""A part of a model's schema, as pydantic-core has it."""
Steps = tuple[int | str, ...]


@dataclasses.dataclass(frozen=True)
class Place:
    """A place in a document."""

    steps: Steps = ()
    """The way there."""
    schema: Schema = dataclasses.field(default_factory=dict)
    """What may stand there."""
    tries: tuple[Steps, ...] = ()
    """The values on the way of which pydantic tries one sort after another."""

    @property
    def is_tried(self) -> bool:
        """Whether this is a value of which pydantic tries one sort after another."""
        return self.steps in self.tries


class Places:
    """The places that documents of one model can have."""

    def __init__(self, model: type[pydantic.BaseModel]) -> None:
        """Learn the model's schema."""
        self._schema: Any = model.__pydantic_core_schema__
        self._known: dict[str, Schema] = {each["ref"]: each for each in self._schema.get("definitions", ())}

    def find(self, loc: Steps) -> Place | None:
        """Give the place that pydantic's location means; None when the schema doesn't tell."""
        found = self._follow(self._schema, loc, Place())
        # Of a key of a dictionary that is itself not as needed.
        return self._follow(self._schema, loc[:-1], Place()) if found is None and loc[-1:] == ("[key]",) else found

    def wanted(self, schema: Schema) -> str:
        """Say which objects would do where a schema wants one."""
        if _discriminator(schema):
            return f"an object with `{_discriminator(schema)}`, one of {', '.join(map(repr, schema['choices']))}"
        shapes = self.shapes(schema)
        return f"an object such as {shapes}" if shapes else "an object"

    def shapes(self, schema: Schema) -> str:
        """Give the objects that would do, each with the fields that it must have; empty when none must be."""
        branches = schema["choices"].values() if schema["type"] == "tagged-union" else [schema]
        return either([shape for shape in map(self._shape, branches) if shape])

    def sorts_around(self, loc: Steps) -> str:
        """Give the sorts of objects, told apart by their fields alone, of which one is around a place; or nothing."""
        around = self.find(loc[:-1])
        is_any = around is not None and around.schema["type"] == "tagged-union" and not _discriminator(around.schema)
        return self.shapes(around.schema) if around and is_any else ""

    def _bare(self, schema: Schema) -> Schema:
        """Take off what says nothing of places: a model around its fields, defaults, validators."""
        while schema["type"] == "definition-ref" or "schema" in schema:
            is_named = schema["type"] == "definition-ref"
            schema = self._known[schema["schema_ref"]] if is_named else schema["schema"]
        return schema

    def _follow(self, schema: Schema, loc: Steps, place: Place) -> Place | None:
        schema = self._bare(schema)
        if schema["type"] == "tagged-union":
            here = dataclasses.replace(place, schema=schema)
            branch = schema["choices"].get(loc[0]) if loc else None
            return here if not loc else branch and self._follow(branch, loc[1:], here)
        if schema["type"] == "union":
            here = dataclasses.replace(place, tries=(*place.tries, place.steps))
            # The location has a name for the branch that is made of its validators' names, so the rest must tell it.
            branches = (branch[0] if isinstance(branch, tuple) else branch for branch in schema["choices"])
            return next(filter(None, (self._follow(branch, loc[1:], here) for branch in branches)), None)
        if not loc:
            return place if place.schema else dataclasses.replace(place, schema=schema)
        below = Place((*place.steps, loc[0]), tries=place.tries)
        inner = _inner(schema, loc[0])
        if inner is not None:
            return self._follow(inner, loc[1:], below)
        # A field that is not permitted; no schema says more of it.
        return below if schema["type"] == "model-fields" and not loc[1:] else None

    def _shape(self, schema: Schema) -> str:
        """Give an object with the fields that a model must have; empty when there are none."""
        fields = self._bare(schema).get("fields", {})
        needed = {name: field["schema"] for name, field in fields.items() if field["schema"]["type"] != "default"}
        told = [f"{json.dumps(name)}: {_VALUES.get(self._bare(each)['type'], '…')}" for name, each in needed.items()]
        return f"{{{', '.join(told)}}}" if told else ""


_VALUES = {"list": "[…]", "dict": "{…}", "model-fields": "{…}"}


@functools.cache
def of(model: type[pydantic.BaseModel]) -> Places:
    """Give a model's places."""
    return Places(model)


def _discriminator(schema: Schema) -> str:
    """Name the field that tells a union's branches apart; empty when none does."""
    field = schema.get("discriminator")
    return field if isinstance(field, str) else ""


def _inner(schema: Schema, part: int | str) -> Schema | None:
    """Give the schema of what a list, a dictionary or a model has at one place."""
    inner: Schema | None = None
    if schema["type"] == "list" and isinstance(part, int):
        inner = schema["items_schema"]
    elif schema["type"] == "dict":
        inner = schema["values_schema"]
    elif schema["type"] == "model-fields":
        inner = schema["fields"].get(part)
    return inner


def either(texts: list[str]) -> str:
    """Join texts of which any would do: `a, b or c`."""
    return " or ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
