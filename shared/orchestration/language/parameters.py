"""The parameters of a run: what it gives, and the defaults of the others."""

from collections.abc import Mapping
from typing import Any

import orjson

from shared import errors, suggestions
from shared.orchestration.language import document, located, values

MAX_KEY = 1_000
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def bind(pipeline: document.Pipeline, given: Mapping[str, Any], *, pointer: str = "#/params") -> dict[str, Any]:
    """Return every parameter's value in a run that gives these; InvalidRequestError, with all that is wrong."""
    known = pipeline.parameters
    problems = [
        errors.Problem(_unknown(name, known), located.to_pointer((name,), prefix=pointer))
        for name in given
        if name not in known
    ]
    bound: dict[str, Any] = {}
    for name, parameter in known.items():
        at = located.to_pointer((name,), prefix=pointer)
        if name not in given and parameter.is_required:
            problems.append(errors.Problem(f"the parameter {name!r} has no default, so each run must give it", at))
            continue
        bound[name] = given.get(name, parameter.default)
        detail = find_mismatch(parameter, bound[name]) if name in given else None
        problems += [errors.Problem(detail, at)] if detail else []
    if problems:
        count = len(problems)
        raise errors.InvalidRequestError(
            f"{count} parameter{'s' if count > 1 else ''} of the run {'are' if count > 1 else 'is'} invalid: "
            f"{problems[0]['detail']}",
            problems=problems[:50],
        )
    return bound


def find_concurrency_key(pipeline: document.Pipeline, bound: Mapping[str, Any]) -> str:
    """Return the text by which a run with these parameters is counted; InvalidRequestError when it can't be made."""
    policy = pipeline.concurrency_policy
    if policy is None or not policy.key:
        return ""
    try:
        key = values.resolve(policy.key, lambda used: values.follow(bound, used), wants=lambda _: True)
    except ValueError as error:
        problem = errors.Problem(str(error), "#/concurrency/key")
        raise errors.InvalidRequestError(
            f"The run's concurrency key can't be made: {error}.", problems=[problem]
        ) from error
    text = key if isinstance(key, str) else orjson.dumps(key).decode()
    if len(text) > MAX_KEY:
        raise errors.InvalidRequestError(
            f"The run's concurrency key has {len(text)} characters; at most {MAX_KEY} are kept."
        )
    return text


def type_of(parameter: document.Parameter) -> str | None:
    """Return the type of a parameter's values; None when they may be anything."""
    if parameter.type is not None or parameter.default is None:
        return parameter.type
    default = parameter.default
    if isinstance(default, bool):
        return "boolean"
    # A default of 1 doesn't say that only whole numbers are meant.
    types = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return types[type(default)]


def find_mismatch(parameter: document.Parameter, value: Any) -> str | None:
    """Say how a value is not of a parameter's type; None when it is."""
    wanted = type_of(parameter)
    if wanted is None or (value is None and not parameter.is_required and parameter.default is None):
        return None
    fits = isinstance(value, _TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
    return None if fits else f"it should be of the type {wanted}, and is {values.describe(value)}"


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    similar = suggestions.find_similar(name, known)
    if similar:
        return f"the pipeline has no parameter {name[:100]!r}; {suggestions.ask(similar)}"
    listed = ", ".join(list(known)[:20])
    return f"the pipeline has no parameter {name[:100]!r}; " + (f"it has: {listed}" if listed else "it has none")
