"""Checks a step against its kind, as far as that is possible while references stand in its parameters.

Parameters with a default and the items of a list that is written out are put in; the result of a step is checked by the
type that its kind's contract gives it. What remains unknown is checked when the step is submitted.
"""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pydantic

from shared import contract, suggestions
from shared.orchestration.language import document, findings, parameters, references, shapes, values
from shared.orchestration.language.located import Path

_MAX_ITEMS = 5
_MAX_ITEMS_IN_ALL = 200
_MAX_BYTES = 4 * 1024 * 1024
"""How much is put in for the references of one pipeline, in bytes of JSON; what is beyond counts as unknown."""
_MAX_PROBLEMS = 20
_NAMES = {
    "string": "a text",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
Finding = tuple[str, Path]
"""What is wrong, and where in the step."""


def find_shape(
    reference: references.Reference, steps: Mapping[str, document.Step], kinds: Mapping[str, contract.Kind]
) -> shapes.Annotations:
    """Find what a reference to a step can stand for, by the contract of the step's kind."""
    step = steps[reference.head]
    kind = kinds.get(step.kind)
    if kind is None or not reference.takes_result:
        return shapes.UNKNOWN
    return shapes.find(kind.result if step.for_each is None else list[kind.result], reference.parts)  # type: ignore[name-defined]


def name_types(types: frozenset[str]) -> str:
    """Name JSON types in words."""
    return " or ".join(_NAMES.get(name, name) for name in sorted(types))


class _Unknown(Exception):  # noqa: N818 - it is no error, but says that a value isn't known yet.
    """A reference has no value yet."""


@dataclasses.dataclass
class _Filled:
    """A step's parameters with what is known already."""

    params: dict[str, Any]
    unknown: list[Path]
    """Where something stands that isn't known yet."""


class Checker:
    """Checks the steps of one pipeline."""

    def __init__(self, pipeline: document.Pipeline, kinds: Mapping[str, contract.Kind]) -> None:
        """Take the pipeline, and the kinds that its steps may be of."""
        self._steps = {step.name: step for step in reversed(pipeline.steps)}
        self._kinds = kinds
        self._defaults = {
            name: parameter.default for name, parameter in pipeline.parameters.items() if not parameter.is_required
        }
        self._types = {name: parameters.type_of(parameter) for name, parameter in pipeline.parameters.items()}
        self._items_left = _MAX_ITEMS_IN_ALL
        self._bytes_left = _MAX_BYTES
        self._sizes: dict[int, int] = {}

    def check(self, step: document.Step) -> Iterator[Finding]:
        """List what is wrong with a step's kind and parameters."""
        kind = self._kinds.get(step.kind)
        if kind is None:
            similar = suggestions.find_similar(step.kind, self._kinds, share=10)
            hint = suggestions.ask(similar) if similar else f"the kinds are: {', '.join(self._kinds)}"
            yield f"{step.kind!r} is not a kind of job; {hint}", ("kind",)
            return
        found: dict[Path, str] = {}
        for item in self._list_items(step):
            try:
                filled, mismatches = self._fill(step, kind, item)
            except ValueError:
                # A reference that can't be read is reported with the others.
                return
            for path, detail in (*mismatches, *_validate(kind, filled)):
                found.setdefault(path, detail)
            if found:
                break
        for path, detail in found.items():
            yield detail, ("params", *path)

    def _list_items(self, step: document.Step) -> list[Any]:
        """List items to try, each in a list of its own; an empty one where there is none that is known."""
        items = step.for_each
        if isinstance(items, str):
            reference = references.read_whole(items) if "${" in items else None
            default = self._defaults.get(str(reference.parts[0])) if _is_parameter(reference) else None
            items = default if isinstance(default, list) else None
        known = [[item] for item in items if not any(references.list_texts(item))] if isinstance(items, list) else []
        tried = known[: min(_MAX_ITEMS, self._items_left)]
        self._items_left -= len(tried)
        return tried or [[]]

    def _fill(
        self, step: document.Step, kind: contract.Kind, item: list[Any]
    ) -> tuple[_Filled, list[tuple[Path, str]]]:
        filled = _Filled({}, [])
        mismatches: list[tuple[Path, str]] = []
        replaced: dict[Path, Any] = {}
        for path, text in references.list_texts(step.params):
            wanted = shapes.find(kind.command, path)
            names_version = shapes.find_reference(wanted) is not None
            # Raises where the text can't be read, before a ValueError means that it has no value.
            reference = references.read_whole(text) if references.split(text) else None
            try:
                replaced[path] = self._put_in(text, item, names_version=names_version)
            except _Unknown:
                detail, stand_in = self._compare(reference, wanted, number=len(replaced) + 1)
                mismatches += [(path, detail)] if detail else []
                if stand_in is not None and not detail:
                    replaced[path] = stand_in
                else:
                    filled.unknown.append(path)
            except ValueError as error:
                mismatches.append((path, str(error)))
                filled.unknown.append(path)
        filled.params = _replace(step.params, replaced)
        return filled, mismatches

    def _put_in(self, text: str, item: list[Any], *, names_version: bool) -> Any:
        """Put in what is known; _Unknown when a part isn't, ValueError for what can't be."""
        return values.resolve(text, lambda used: self._look_up(used, item), wants=lambda _: names_version)

    def _look_up(self, reference: references.Reference, item: list[Any]) -> Any:
        if reference.head == "params" and reference.parts and reference.parts[0] in self._defaults:
            default = self._defaults[str(reference.parts[0])]
            self._spend(default)
            return values.follow(default, reference, skip=1)
        if reference.head == "item" and item:
            self._spend(item[0])
            return values.follow(item[0], reference)
        raise _Unknown

    def _spend(self, value: Any) -> None:
        """Count what is put in; _Unknown when it is too much for a check, so that no text can make it long."""
        # The pipeline holds the value, so that no other one gets its id meanwhile.
        size = self._sizes.get(id(value))
        if size is None:
            size = self._sizes[id(value)] = len(orjson.dumps(value))
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise _Unknown

    def _compare(
        self, reference: references.Reference | None, wanted: shapes.Annotations, *, number: int
    ) -> tuple[str, Any]:
        """Compare what a reference will be with what is wanted; besides, return what can stand in for it, or None."""
        if reference is None or not wanted:
            return "", None
        types, described = self._find_types(reference)
        target = shapes.find_reference(wanted)
        if target is not None and reference.step in self._steps:
            return self._compare_version(reference, target, number=number)
        taken = shapes.list_types(wanted)
        if types is None or taken is None or types & taken:
            return "", None
        return f"this should be {name_types(taken - {'null'} or taken)}, and ${{{reference}}} is {described}", None

    def _compare_version(self, reference: references.Reference, target: str, *, number: int) -> tuple[str, Any]:
        found = find_shape(reference, self._steps, self._kinds)
        last = reference.parts[-1] if reference.parts else None
        if shapes.is_version(found):
            if last in ("dataset", "features", "model") and last != target:
                return f"this should name a {target}, and ${{{reference}}} is a {last}", None
            return "", f"stand-in-{number}@1"
        types = shapes.list_types(found)
        if types and "string" not in types:
            fields = ", ".join(shapes.list_fields(found))
            hint = f", which has the fields {fields}" if fields else ""
            return f"this should name a {target}, and ${{{reference}}} is {name_types(types)}{hint}", None
        return "", None

    def _find_types(self, reference: references.Reference) -> tuple[frozenset[str] | None, str]:
        if reference.head == "params" and len(reference.parts) == 1:
            type_ = self._types.get(str(reference.parts[0]))
            types = frozenset({"number" if type_ == "integer" else type_}) if type_ else None
        elif reference.step in self._steps:
            types = shapes.list_types(find_shape(reference, self._steps, self._kinds))
        else:
            types = frozenset({"string"}) if reference.head == "run" and reference.parts == ("id",) else None
        return types, name_types(types) if types else ""


def _is_parameter(reference: references.Reference | None) -> typing.TypeGuard[references.Reference]:
    return reference is not None and reference.head == "params" and len(reference.parts) == 1


def _replace(value: Any, replaced: Mapping[Path, Any], path: Path = ()) -> Any:
    if path in replaced:
        return replaced[path]
    if isinstance(value, dict):
        return {name: _replace(member, replaced, (*path, name)) for name, member in value.items()}
    if isinstance(value, list):
        return [_replace(member, replaced, (*path, index)) for index, member in enumerate(value)]
    return value


def _validate(kind: contract.Kind, filled: _Filled) -> list[tuple[Path, str]]:
    try:
        kind.command.model_validate(filled.params)
    except pydantic.ValidationError as invalid:
        found = findings.describe(invalid, filled.params, limit=_MAX_PROBLEMS, model=kind.command)
        return [
            (path, detail)
            for path, detail, type_ in found
            if type_ in findings.CERTAIN or not any(_touch(path, unknown) for unknown in filled.unknown)
        ]
    return []


def _touch(path: Path, unknown: Path) -> bool:
    """Say whether one of these paths leads to the other, so that what isn't known may be the cause."""
    shorter = min(len(path), len(unknown))
    return path[:shorter] == unknown[:shorter]
