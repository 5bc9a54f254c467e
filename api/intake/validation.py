"""What pydantic found wrong in a document, as its sender can use it: where it is, what was seen and what would do."""

import itertools
import re
from typing import Any

import pydantic

from api.intake import permitted_fields, schema_paths
from shared import contract, errors

_MOST_SHOWN = 200
_MOST_PROBLEMS = 50
_MOST_LISTED = 10_000
_MOST_LOOKED_AT = 500
_SHOULD = "Input should be "
_NO_OBJECT = {"model_type", "model_attributes_type", "union_tag_not_found"}
Model = type[pydantic.BaseModel]


def to_error(
    invalid: pydantic.ValidationError,
    *,
    prefix: str = "#",
    document: Any = None,
    model: type[pydantic.BaseModel] | None = None,
) -> errors.InvalidRequestError:
    """Turn pydantic's findings into our error, each with where it is and the value that was seen.

    Fields that are not permitted come with those that are, when the `model` is known.
    """
    count = invalid.error_count()
    if count > _MOST_LISTED:
        # Pydantic makes its findings into documents all or none, and a hostile body can have millions.
        return errors.InvalidRequestError(f"{count} things of the request are not as needed, too many to list.")
    count, found = problems(invalid, most=_MOST_PROBLEMS, prefix=prefix, document=document, model=model)
    return errors.InvalidRequestError(
        f"{count} field{'s' if count > 1 else ''} of the request {'are' if count > 1 else 'is'} not as needed: "
        f"{found[0]['pointer']}: {found[0]['detail']}",
        problems=found,
    )


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
    groups: dict[Any, list[tuple[Any, schema_paths.Place]]] = {}
    for number, (one, place) in enumerate(found):
        if not place.is_tried:
            groups[number] = [(one, place)]
        elif place.steps not in beyond:
            groups.setdefault(place.steps, []).append((one, place))
    shown = itertools.islice(groups.values(), most)
    count = len(groups) + invalid.error_count() - len(found)
    return count, [_problem(group, prefix=prefix, model=model) for group in shown]


def _problem(group: list[tuple[Any, schema_paths.Place]], *, prefix: str, model: Model | None) -> errors.Problem:
    # What is of the right sort and yet not good says more than that it isn't of another.
    telling = [each for each in group if not each[0]["type"].endswith("_type") and each[0]["type"] != "literal_error"]
    group = telling or group
    [*_, (one, place)] = group
    message = _either([_message(each, at, model) for each, at in group])
    return errors.Problem(f"{message}{_seen(one)}", _pointer(place.steps, prefix))


def _either(messages: list[str]) -> str:
    """Join what would do; only the first says that it should."""
    first, *others = messages
    return schema_paths.either([first, *(each.removeprefix(_SHOULD) for each in others)])


def _message(one: Any, place: schema_paths.Place, model: Model | None) -> str:
    message = str(one["msg"]).removeprefix("Value error, ")
    if model is None:
        return message
    if one["type"] == "extra_forbidden":
        return f"{message}; these are: {', '.join(permitted_fields.permitted(model, one['loc']))}"
    if one["type"] in _NO_OBJECT:
        return f"{_SHOULD}{schema_paths.of(model).wanted(place.schema)}"
    sorts = schema_paths.of(model).sorts_around(one["loc"]) if one["type"] == "missing" else ""
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


def _place(one: Any, document: Any, model: Model | None) -> schema_paths.Place:
    found = schema_paths.of(model).find(one["loc"]) if model else None
    return found or schema_paths.Place(_steps(one["loc"], document, is_missing=one["type"] == "missing"))


def _steps(parts: schema_paths.Steps, document: Any, *, is_missing: bool) -> schema_paths.Steps:
    """Give those parts of a location that the document has, where the schema doesn't tell."""
    if document is None:
        return parts
    steps: schema_paths.Steps = ()
    for part in parts:
        is_there = part in document if isinstance(document, dict) else isinstance(document, list | tuple)
        if is_there and (isinstance(document, dict) or isinstance(part, int)):
            steps = (*steps, part)
            document = document[part]
    return (*steps, parts[-1]) if is_missing else steps


def _pointer(steps: schema_paths.Steps, prefix: str) -> str:
    return "/".join([prefix, *(str(step).replace("~", "~0").replace("/", "~1") for step in steps)])
