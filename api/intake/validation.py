"""Turns pydantic's errors into problems that a client can use: where each is, the value and what is accepted there."""

import itertools
import re
from typing import Any

import pydantic

from api.intake import permitted_fields, schema_paths
from shared import contract, errors

_MAX_VALUE_LENGTH = 200
_MAX_PROBLEMS = 50
_MAX_LISTED = 10_000
_MAX_GROUPED = 500
_SHOULD = "Input should be "
_NOT_AN_OBJECT = {"model_type", "model_attributes_type", "union_tag_not_found"}
Model = type[pydantic.BaseModel]
Finding = Any
"""One of pydantic's errors, as `ValidationError.errors` lists them."""


def to_error(
    invalid: pydantic.ValidationError,
    *,
    prefix: str = "#",
    document: Any = None,
    model: type[pydantic.BaseModel] | None = None,
) -> errors.InvalidRequestError:
    """Turn pydantic's error into ours, with the location and the value of each problem.

    When the `model` is known, problems with fields that are not permitted list the permitted ones.
    """
    count = invalid.error_count()
    if count > _MAX_LISTED:
        # Pydantic can only list all its findings at once, and a hostile body can have millions.
        return errors.InvalidRequestError(f"The request has {count} problems, which are too many to list.")
    count, problems = list_problems(invalid, limit=_MAX_PROBLEMS, prefix=prefix, document=document, model=model)
    return errors.InvalidRequestError(
        f"{count} field{'s' if count > 1 else ''} of the request {'are' if count > 1 else 'is'} invalid: "
        f"{problems[0]['pointer']}: {problems[0]['detail']}",
        problems=problems,
    )


def list_problems(
    invalid: pydantic.ValidationError, *, limit: int, prefix: str, document: Any, model: Model | None
) -> tuple[int, list[errors.Problem]]:
    """Count the problems, and describe at most `limit` of them; their pointers begin with `prefix`.

    For a value of an untagged union pydantic has findings for each member. They are one problem, or none when there are
    findings further inside, since then the value matches a member. Beyond `_MAX_GROUPED` each finding counts by itself.
    """
    findings = invalid.errors(include_url=False)[:_MAX_GROUPED]
    located = [(finding, _locate(finding, document, model)) for finding in findings]
    unions_with_inner_findings = {path for _, location in located for path in location.unions if path != location.path}
    groups: dict[Any, list[tuple[Finding, schema_paths.Location]]] = {}
    for number, (finding, location) in enumerate(located):
        if not location.is_union:
            groups[number] = [(finding, location)]
        elif location.path not in unions_with_inner_findings:
            groups.setdefault(location.path, []).append((finding, location))
    count = len(groups) + invalid.error_count() - len(located)
    described = itertools.islice(groups.values(), limit)
    return count, [_describe(group, prefix=prefix, model=model) for group in described]


def _describe(
    group: list[tuple[Finding, schema_paths.Location]], *, prefix: str, model: Model | None
) -> errors.Problem:
    # That a value of an accepted type is invalid says more than that it is not of another type.
    specific = [
        (finding, location)
        for finding, location in group
        if not finding["type"].endswith("_type") and finding["type"] != "literal_error"
    ]
    group = specific or group
    [*_, (last_finding, last_location)] = group
    message = _join_messages([_message(finding, location, model) for finding, location in group])
    return errors.Problem(f"{message}{_value_of(last_finding)}", _pointer(last_location.path, prefix))


def _join_messages(messages: list[str]) -> str:
    """Join the messages of a union's members; only the first begins with "Input should be"."""
    first, *others = messages
    return schema_paths.join_alternatives([first, *(message.removeprefix(_SHOULD) for message in others)])


def _message(finding: Finding, location: schema_paths.Location, model: Model | None) -> str:
    message = str(finding["msg"]).removeprefix("Value error, ")
    if model is None:
        return message
    if finding["type"] == "extra_forbidden":
        return f"{message}; permitted are: {', '.join(permitted_fields.list_permitted(model, finding['loc']))}"
    if finding["type"] in _NOT_AN_OBJECT:
        return f"{_SHOULD}{schema_paths.of(model).describe_objects(location.schema)}"
    is_missing = finding["type"] == "missing"
    shapes = schema_paths.of(model).describe_enclosing_union(finding["loc"]) if is_missing else ""
    return f"{message}; use {shapes}" if shapes else message


def _value_of(finding: Finding) -> str:
    if finding["type"] in {"missing", "extra_forbidden"} or isinstance(finding["input"], dict | list):
        return ""
    return f"; got {_without_credentials(finding['input'])!r:.{_MAX_VALUE_LENGTH}}{_hint(finding)}"


def _without_credentials(value: Any) -> Any:
    """Mask the user name and password that a URL can contain, which may have any characters."""
    if not isinstance(value, str) or "@" not in value:
        return value
    before, _, after = value.rpartition("@")
    scheme, slashes, _ = before.partition("//")
    if slashes:
        return f"{scheme}//***@{after}"
    return f"***@{after}" if ":" in before else value


def _hint(finding: Finding) -> str:
    if finding["type"] != "string_pattern_mismatch" or finding["ctx"]["pattern"] != contract.REFERENCE_PATTERN:
        return ""
    name = finding["input"] if re.fullmatch(contract.NAME_PATTERN, finding["input"]) else "telco"
    return f"; write `{name}@latest` or `{name}@1`"


def _locate(finding: Finding, document: Any, model: Model | None) -> schema_paths.Location:
    location = schema_paths.of(model).resolve(finding["loc"]) if model else None
    return location or schema_paths.Location(
        _path_in(document, finding["loc"], is_missing=finding["type"] == "missing")
    )


def _path_in(document: Any, loc: schema_paths.Path, *, is_missing: bool) -> schema_paths.Path:
    """Keep the parts of a location that the document has, for when the schema doesn't determine the path."""
    if document is None:
        return loc
    path: schema_paths.Path = ()
    for part in loc:
        is_present = part in document if isinstance(document, dict) else isinstance(document, list | tuple)
        if is_present and (isinstance(document, dict) or isinstance(part, int)):
            path = (*path, part)
            document = document[part]
    return (*path, loc[-1]) if is_missing else path


def _pointer(path: schema_paths.Path, prefix: str) -> str:
    return "/".join([prefix, *(str(part).replace("~", "~0").replace("/", "~1") for part in path)])
