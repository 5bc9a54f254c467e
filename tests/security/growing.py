"""Documents that grow: of each JSON Schema one for every place at which a document can be made larger."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]
Make = Callable[[int], Any]
"""Makes a document of about this many items, names or tens of characters."""
_FREE = frozenset({"enum", "const", "pattern"})
_CHARACTERS = 10


class Grower:
    """Walks schemas, and makes documents that are as small as can be except at one place."""

    def __init__(self, definitions: Schema) -> None:
        """Resolve references in these definitions, by their names."""
        self.definitions = definitions
        self._walked: set[str] = set()
        """The definitions that schemas share, such as the recipe: each is walked where it comes first."""

    def grow(self, schema: Schema) -> Iterator[tuple[str, Make]]:
        """Yield, for each place, where it is and what makes the document."""
        name = schema.get("$ref", "").rpartition("/")[2]
        if name in self._walked:
            return
        self._walked |= {name} - {""}
        schema = self._resolve(schema)
        for number, option in enumerate(_options(schema)):
            for place, make in self.grow(option):
                yield f"|{number}{place}", make
        if schema.get("type") == "string" and not _FREE & schema.keys():
            yield "~", lambda count: "x" * min(count * _CHARACTERS, schema.get("maxLength", 10**9))
        if schema.get("type") == "array":
            yield from self._grow_list(schema)
        if schema.get("type") == "object":
            yield from self._grow_object(schema)

    def _grow_list(self, schema: Schema) -> Iterator[tuple[str, Make]]:
        items = schema.get("items", {})
        most = schema.get("maxItems", 10**9)
        yield "[]", lambda count: [self.make(items, number=number) for number in range(min(count, most))]
        yield "[=]", lambda count: [self.make(items)] * min(count, most)
        if most < 1000:
            yield "[+]", lambda count: [self.make(items, number=number) for number in range(count)]
        least = max(1, schema.get("minItems", 1))
        for place, make in self.grow(items):
            yield f"[]{place}", functools.partial(_make_list, make, least)

    def _grow_object(self, schema: Schema) -> Iterator[tuple[str, Make]]:
        small = self.make(schema)
        for name, field in schema.get("properties", {}).items():
            for place, make in self.grow(field):
                yield f".{name}{place}", functools.partial(_make_object, make, small, name)
        values = schema.get("additionalProperties")
        if isinstance(values, dict):
            most = schema.get("maxProperties", 10**9)
            yield (
                ".*",
                lambda count: {f"a{number}": self.make(values, number=number) for number in range(min(count, most))},
            )
        yield ".?", lambda count: {**small, **{f"unknown {number}": number for number in range(count)}}

    def make(self, schema: Schema, *, number: int | None = None) -> Any:
        """Make the smallest document of a schema; with a number, one that differs from those of other numbers."""
        schema = self._resolve(schema)
        if "const" in schema or schema.get("default"):
            return schema.get("const", schema.get("default"))
        if "enum" in schema or (number is None and "examples" in schema):
            return (schema.get("enum") or schema["examples"])[0]
        for option in _options(schema):
            return self.make(option, number=number)
        if schema.get("type") == "array":
            count = max(1, schema.get("minItems", 1))
            return [self.make(schema.get("items", {}), number=number) for _ in range(count)]
        if schema.get("type") == "object":
            fields = schema.get("properties", {})
            return {name: self.make(fields[name], number=number) for name in schema.get("required", ())}
        return _make_scalar(schema, number)

    def _resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = {**self.definitions[schema["$ref"].rpartition("/")[2]]}
        return schema


def _options(schema: Schema) -> list[Schema]:
    """List the schemas of which one has to hold, without null."""
    options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or []
    return [option for option in options if option.get("type") != "null"]


def _make_list(make: Make, length: int, count: int) -> list[Any]:
    return [make(count)] * length


def _make_object(make: Make, others: Schema, name: str, count: int) -> Schema:
    return {**others, name: make(count)}


def _make_scalar(schema: Schema, number: int | None) -> Any:
    match schema.get("type"):
        case "string":
            return "x" * schema.get("minLength", 1) if number is None else f"b{number}"
        case "boolean":
            return True
        case "null":
            return None
    return schema.get("minimum", 0) + 1 if number is None else number
