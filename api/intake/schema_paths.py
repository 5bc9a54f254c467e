"""Resolves pydantic's error locations in a model's schema: where in the document each is, and what is accepted there.

Pydantic's locations also name the members of unions, which are not part of a document's path.
"""

import dataclasses
import functools
import json
from typing import Any

import pydantic

Schema = dict[str, Any]
"""A part of a model's schema, as pydantic-core has it."""
Path = tuple[int | str, ...]
"""Field names, dictionary keys and list indexes, from the root of a document; also a location as pydantic gives it."""


@dataclasses.dataclass(frozen=True)
class Location:
    """A location in a document."""

    path: Path = ()
    schema: Schema = dataclasses.field(default_factory=dict)
    """The schema of what is accepted there."""
    unions: tuple[Path, ...] = ()
    """The paths, among this one and those above it, whose schema is an untagged union.

    For an untagged union pydantic tries one member after another, and reports the errors of each.
    """

    @property
    def is_union(self) -> bool:
        """Whether the schema of this very location is an untagged union."""
        return self.path in self.unions


class SchemaPaths:
    """The locations that documents of one model can have."""

    def __init__(self, model: type[pydantic.BaseModel]) -> None:
        """Read the model's schema."""
        self._schema: Any = model.__pydantic_core_schema__
        self._definitions: dict[str, Schema] = {
            definition["ref"]: definition for definition in self._schema.get("definitions", ())
        }

    def resolve(self, loc: Path) -> Location | None:
        """Find the location in the document that pydantic's `loc` means; None when the schema doesn't determine it."""
        location = self._follow(self._schema, loc, Location())
        # An invalid key of a dictionary is reported at the dictionary.
        is_key = location is None and loc[-1:] == ("[key]",)
        return self._follow(self._schema, loc[:-1], Location()) if is_key else location

    def describe_objects(self, schema: Schema) -> str:
        """Describe the objects that a schema accepts."""
        if _discriminator(schema):
            return f"an object with `{_discriminator(schema)}`, one of {', '.join(map(repr, schema['choices']))}"
        shapes = self.describe_shapes(schema)
        return f"an object such as {shapes}" if shapes else "an object"

    def describe_shapes(self, schema: Schema) -> str:
        """List the objects that a schema accepts, each with its required fields; empty when no field is required."""
        members = schema["choices"].values() if schema["type"] == "tagged-union" else [schema]
        return join_alternatives([shape for shape in map(self._describe_shape, members) if shape])

    def describe_enclosing_union(self, loc: Path) -> str:
        """List the members of the union around a location, if these differ by their fields alone; else empty."""
        parent = self.resolve(loc[:-1])
        if parent is None or parent.schema["type"] != "tagged-union" or _discriminator(parent.schema):
            return ""
        return self.describe_shapes(parent.schema)

    def _unwrap(self, schema: Schema) -> Schema:
        """Remove what doesn't change locations: the model around its fields, defaults, validators."""
        while schema["type"] == "definition-ref" or "schema" in schema:
            is_reference = schema["type"] == "definition-ref"
            schema = self._definitions[schema["schema_ref"]] if is_reference else schema["schema"]
        return schema

    def _follow(self, schema: Schema, loc: Path, location: Location) -> Location | None:
        schema = self._unwrap(schema)
        if schema["type"] == "tagged-union":
            union = dataclasses.replace(location, schema=schema)
            member = schema["choices"].get(loc[0]) if loc else None
            return union if not loc else member and self._follow(member, loc[1:], union)
        if schema["type"] == "union":
            union = dataclasses.replace(location, unions=(*location.unions, location.path))
            # `loc` names the member by its validators, which is no key here: the rest of `loc` shows which one it is.
            members = (member[0] if isinstance(member, tuple) else member for member in schema["choices"])
            return next(filter(None, (self._follow(member, loc[1:], union) for member in members)), None)
        if not loc:
            return location if location.schema else dataclasses.replace(location, schema=schema)
        child = Location((*location.path, loc[0]), unions=location.unions)
        inner = _inner_schema(schema, loc[0])
        if inner is not None:
            return self._follow(inner, loc[1:], child)
        # A field that is not permitted has no schema.
        return child if schema["type"] == "model-fields" and not loc[1:] else None

    def _describe_shape(self, schema: Schema) -> str:
        """Describe an object by the required fields of a model; empty when none is required."""
        fields = self._unwrap(schema).get("fields", {})
        required = {name: field["schema"] for name, field in fields.items() if field["schema"]["type"] != "default"}
        members = [
            f"{json.dumps(name)}: {_PLACEHOLDERS.get(self._unwrap(field)['type'], '…')}"
            for name, field in required.items()
        ]
        return f"{{{', '.join(members)}}}" if members else ""


_PLACEHOLDERS = {"list": "[…]", "dict": "{…}", "model-fields": "{…}"}


@functools.cache
def of(model: type[pydantic.BaseModel]) -> SchemaPaths:
    """Build a model's paths, once per process."""
    return SchemaPaths(model)


def _discriminator(schema: Schema) -> str:
    """Return the field by which a union's members differ; empty when there is none."""
    field = schema.get("discriminator")
    return field if isinstance(field, str) else ""


def _inner_schema(schema: Schema, part: int | str) -> Schema | None:
    """Return the schema of one item, value or field of a list, a dictionary or a model."""
    inner: Schema | None = None
    if schema["type"] == "list" and isinstance(part, int):
        inner = schema["items_schema"]
    elif schema["type"] == "dict":
        inner = schema["values_schema"]
    elif schema["type"] == "model-fields":
        inner = schema["fields"].get(part)
    return inner


def join_alternatives(texts: list[str]) -> str:
    """Join alternatives: `a, b or c`."""
    return " or ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
