"""What pydantic found wrong in a document, as its sender can use it: where it is, what was seen and what would do."""

import itertools
import re
from typing import Any

import pydantic

from api import fields, places
from shared import contract, errors

_MOST_SHOWN = 200
_MOST_LOOKED_AT = 500
_SHOULD = "Input should be "
_NO_OBJECT = {"model_type", "model_attributes_type", "union_tag_not_found"}
Model = type[pydantic.BaseModel]


def problems(
    invalid: pydantic.ValidationError, *, most: int, prefix: str, document: Any, model: Model | None
) -> tuple[int, list[errors.Problem]]:
    """Count the problems, and give `most` of them; their pointers begin with `prefix`.

    Where a value may be of several sorts, pydantic has findings for each: these are one problem, and none when the
    value is of a sort that has findings further within. Of very many findings the later ones count each for itself.
    """
    looked_at = invalid.errors(include_url=False)[:_MOST_LOOKED_AT]
    found = [(one, _place(one, document, model)) for one in looked_at]
    beyond = {steps for _, place in found for steps in place.tries if steps != place.steps}
    groups: dict[Any, list[tuple[Any, places.Place]]] = {}
    for number, (one, place) in enumerate(found):
        if not place.is_tried:
            groups[number] = [(one, place)]
        elif place.steps not in beyond:
            groups.setdefault(place.steps, []).append((one, place))
    shown = itertools.islice(groups.values(), most)
    count = len(groups) + invalid.error_count() - len(found)
    return count, [_problem(group, prefix=prefix, model=model) for group in shown]


def _problem(group: list[tuple[Any, places.Place]], *, prefix: str, model: Model | None) -> errors.Problem:
    # What is of the right sort and yet not good says more than that it isn't of another.
    telling = [each for each in group if not each[0]["type"].endswith("_type") and each[0]["type"] != "literal_error"]
    group = telling or group
    [*_, (one, place)] = group
    message = _either([_message(each, at, model) for each, at in group])
    return errors.Problem(f"{message}{_seen(one)}", _pointer(place.steps, prefix))


def _either(messages: list[str]) -> str:
    """Join what would do; only the first says that it should."""
    first, *others = messages
    return places.either([first, *(each.removeprefix(_SHOULD) for each in others)])


def _message(one: Any, place: places.Place, model: Model | None) -> str:
    message = str(one["msg"]).removeprefix("Value error, ")
    if model is None:
        return message
    if one["type"] == "extra_forbidden":
        return f"{message}; these are: {', '.join(fields.permitted(model, one['loc']))}"
    if one["type"] in _NO_OBJECT:
        return f"{_SHOULD}{places.of(model).wanted(place.schema)}"
    sorts = places.of(model).sorts_around(one["loc"]) if one["type"] == "missing" else ""
    return f"{message}; these would do: {sorts}" if sorts else message


def _seen(one: Any) -> str:
    if one["type"] in {"missing", "extra_forbidden"} or isinstance(one["input"], dict | list):
        return ""
    return f"; got {_without_user(one['input'])!r:.{_MOST_SHOWN}}{_hint(one)}"


def _without_user(given: Any) -> Any:
    """Give a value without the user name and password that a URL can hold; they may be of any characters."""
    if not isinstance(given, str) or "@" not in given:
        return given
    before, _, after = given.rpartition("@")
    scheme, slashes, _ = before.partition("//")
    if slashes:
        return f"{scheme}//***@{after}"
    return f"***@{after}" if ":" in before else given


def _hint(one: Any) -> str:
    if one["type"] != "string_pattern_mismatch" or one["ctx"]["pattern"] != contract.REFERENCE_PATTERN:
        return ""
    name = one["input"] if re.fullmatch(contract.NAME_PATTERN, one["input"]) else "telco"
    return f"; write `{name}@latest` or `{name}@1`"


def _place(one: Any, document: Any, model: Model | None) -> places.Place:
    found = places.of(model).find(one["loc"]) if model else None
    return found or places.Place(_steps(one["loc"], document, is_missing=one["type"] == "missing"))


def _steps(parts: places.Steps, document: Any, *, is_missing: bool) -> places.Steps:
    """Give those parts of a location that the document has, where the schema doesn't tell."""
    if document is None:
        return parts
    steps: places.Steps = ()
    for part in parts:
        is_there = part in document if isinstance(document, dict) else isinstance(document, list | tuple)
        if is_there and (isinstance(document, dict) or isinstance(part, int)):
            steps = (*steps, part)
            document = document[part]
    return (*steps, parts[-1]) if is_missing else steps


def _pointer(steps: places.Steps, prefix: str) -> str:
    return "/".join([prefix, *(str(step).replace("~", "~0").replace("/", "~1") for step in steps)])
