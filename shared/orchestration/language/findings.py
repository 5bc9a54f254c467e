"""Describes what pydantic finds wrong in a document, one finding for each place."""

from typing import Any

import pydantic

from shared import suggestions
from shared.orchestration.language import shapes
from shared.orchestration.language.located import Path

CERTAIN = frozenset({"extra_forbidden", "missing"})
"""Findings that no value can change, where something isn't known yet."""


def describe(
    invalid: pydantic.ValidationError, value: Any, *, limit: int, model: type[pydantic.BaseModel] | None = None
) -> list[tuple[Path, str, str]]:
    """List pydantic's findings as path, detail and type, one for each place.

    Of a union pydantic reports what each member finds wrong. That a value of an accepted type is invalid says more than
    that it is of another type.
    """
    found: dict[Path, list[tuple[str, str]]] = {}
    inputs: dict[Path, Any] = {}
    for finding in invalid.errors(include_url=False)[:500]:
        path, is_in_union = _locate(finding["loc"], value, is_missing=finding["type"] == "missing")
        type_ = "in_union" if is_in_union and finding["type"] in CERTAIN else finding["type"]
        found.setdefault(path, []).append((_to_message(finding, path, model), type_))
        inputs[path] = None if finding["type"] in CERTAIN else finding["input"]
        if len(found) > limit:
            break
    inner = {path[:length] for path in found for length in range(len(path))}
    kept = []
    for path, said in found.items():
        specific = [(message, type_) for message, type_ in said if not _is_vague(type_)]
        # A value of which a member of the union has something inside to complain about is meant to be of that member.
        if specific or path not in inner:
            chosen = specific or said
            kept.append((path, _join([message for message, _ in chosen], inputs[path]), chosen[-1][1]))
    return kept[:limit]


def _is_vague(type_: str) -> bool:
    return type_.endswith("_type") or type_ in ("literal_error", "in_union")


def _join(messages: list[str], given: Any) -> str:
    first, *others = dict.fromkeys(messages)
    joined = " or ".join([first, *(message.removeprefix("Input should be ") for message in others)])
    return joined if given is None or isinstance(given, dict | list) else f"{joined}; got {given!r:.200}"


def _to_message(finding: Any, path: Path, model: type[pydantic.BaseModel] | None) -> str:
    if finding["type"] == "extra_forbidden":
        name = str(finding["loc"][-1])
        fields = shapes.list_fields(shapes.find(model, path[:-1])) if model else []
        similar = suggestions.find_similar(name, fields)
        hint = f"; {suggestions.ask(similar)}" if similar else f"; permitted are: {', '.join(fields)}" if fields else ""
        return f"there is no field {name[:100]!r}{hint}"
    if finding["type"] == "missing":
        return f"the field {str(finding['loc'][-1])!r} is needed"
    return str(finding["msg"]).removeprefix("Value error, ")


def _locate(loc: Path, value: Any, *, is_missing: bool) -> tuple[Path, bool]:
    """Return where in a document pydantic's location is, which also names members of unions, and whether it does."""
    path: Path = ()
    last = len(loc) - 1
    skipped = False
    for number, part in enumerate(loc):
        if isinstance(value, dict) and part in value:
            path, value = (*path, part), value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            path, value = (*path, part), value[part]
        elif not (is_missing and number == last):
            skipped = True
    return path, skipped
