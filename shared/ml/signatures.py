"""A model's signature, as JSON: the columns that it takes and what it predicts; new data is checked against it."""

from collections.abc import Set
from typing import Any, cast

import numpy as np
import pandas as pd
import pydantic

from shared import contract, errors
from shared.ml import frames, integers, row_numbers, targets
from shared.ml.expression_functions import format_number, to_number

Signature = dict[str, pydantic.JsonValue]
MAX_CATEGORIES = 100
_BOOLEAN_WORDS = frozenset({"true", "false", "yes", "no", "t", "f", "y", "n"})
"""Words that a load reads as true or false, where the column's type is boolean."""
_LIKE = "`like: model@version`, which reads the model's columns with the types that they had in training"
_PERMITTED = {"boolean": "true, false, 1, 0 or missing"}


def make_signature(
    frame: pd.DataFrame,
    *,
    columns: list[contract.Column],
    problem: str,
    target: contract.Column | None = None,
    classes: list[targets.Label] | None = None,
    exact: Set[str] = frozenset(),
    **optional: pydantic.JsonValue,
) -> Signature:
    """Describe what a model was fitted on: `columns` are those that it needs, `nullable` whether any was missing.

    `categories` are a text column's values, sorted; left out when there are more than 100. `classes` are the labels,
    for multilabel all of them. `optional` is what only some problems have: the `positive` one of two classes, `targets`
    and `separator` of multilabel, `quantiles`, the `confidence` of intervals. `exact` are the columns of integers that
    the model takes exactly, as their `exact` says; models that were stored without it take float64. Columns of models
    made elsewhere may have `whole`: the least and the greatest whole number that they take, and nothing else; or be
    `required`: never missing.
    """
    target_name = None if target is None else target.name
    descriptions = [
        _describe(frame[column.name], column) | ({"exact": True} if column.name in exact else {})
        for column in columns
        if column.name != target_name
    ]
    return {
        "columns": cast(pydantic.JsonValue, descriptions),
        "target": None if target is None else {"name": target.name, "type": target.type},
        "problem": problem,
        "classes": cast(pydantic.JsonValue, classes),
        **{name: value for name, value in optional.items() if value is not None},
    }


def list_columns(signature: Signature) -> list[str]:
    """List the names of the columns that a model needs, in order."""
    return [column["name"] for column in _columns(signature)]


def list_categories(signature: Signature) -> dict[str, list[str]]:
    """Return the values that the text columns had in training, where the signature lists them."""
    return {column["name"]: column["categories"] for column in _columns(signature) if "categories" in column}


def list_texts(signature: Signature) -> list[str]:
    """List the columns that are text."""
    return [column["name"] for column in _columns(signature) if column["type"] == "string"]


def has_text_labels(signature: Signature) -> bool:
    """Return whether the target is one column of text: classes that are text, or lists of labels."""
    labels = cast(list[targets.Label], signature.get("classes") or [])
    return bool(labels) and all(isinstance(label, str) for label in labels) and not signature.get("targets")


def list_never_missing(signature: Signature) -> list[str]:
    """List the columns that had a value in every row of the training data."""
    return [column["name"] for column in _columns(signature) if not column["nullable"]]


def conform(frame: pd.DataFrame, *, signature: Signature) -> pd.DataFrame:
    """Select a model's columns from a frame of `frames`, in its order and with its dtypes; others are ignored.

    Text that reads as a number becomes one where the model has numbers, and a column without any value takes any type.
    BadDataError, with an offending value, when a column is missing or of another type.
    """
    columns = _columns(signature)
    names = [column["name"] for column in columns]
    frames.require_columns(names, present=frame.columns)
    return pd.DataFrame(
        {column["name"]: _require_permitted(_cast(frame[column["name"]], column), column) for column in columns},
        index=frame.index,
        columns=names,
    )


def _columns(signature: Signature) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], signature["columns"])


def _describe(values: pd.Series, column: contract.Column) -> dict[str, Any]:
    description: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "nullable": bool(values.isna().any()),
    }
    if column.type == "string":
        categories = sorted(values.dropna().unique())
        if len(categories) <= MAX_CATEGORIES:
            description["categories"] = categories
    return description


def _require_permitted(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    if column.get("required") and values.isna().any():
        raise errors.BadDataError(
            f"column {column['name']!r} holds no value in {row_numbers.name_first(values[values.isna()])}, and this "
            "model has no answer to a missing value there"
        )
    return _require_whole(_require_boolean(values, column), column)


def _require_whole(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    """Refuse what an input of whole numbers can't take: `whole` are the least and the greatest that it takes."""
    if "whole" not in column:
        return values
    least, most = column["whole"]
    numbers = integers.to_floats(values).to_numpy()
    others = values[np.isnan(numbers) | (numbers < least) | (numbers > most) | (numbers != np.floor(numbers))]
    if len(others):
        held = "no value" if others.isna().iloc[0] else format_number(float(others.iloc[0]))
        raise errors.BadDataError(
            f"column {column['name']!r} is an input of whole numbers, but holds {held} in "
            f"{row_numbers.name_first(others)}; every value must be a whole number from {least} to {most}"
        )
    return values


def _require_boolean(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    """Refuse numbers other than 0 and 1 in a boolean column: both types are float64 here."""
    if column["type"] != "boolean":
        return values
    numbers = values.to_numpy()
    others = values[(numbers != 0) & (numbers != 1) & ~np.isnan(numbers)]
    if len(others):
        raise errors.BadDataError(
            f"column {column['name']!r} was of type boolean in training, but holds {others.iloc[0]:g} in "
            f"{row_numbers.name_first(others)}; every value must be {_PERMITTED['boolean']}"
        )
    return values


def _cast(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    dtype = frames.dtype_of(column["type"])
    is_exact = bool(column.get("exact", False))
    if column["type"] in frames.NUMERIC and integers.is_exact(values):
        return values if is_exact else integers.to_floats(values)
    if values.dtype == dtype:
        return values
    if values.isna().all():
        return pd.Series([None] * len(values), index=values.index).astype(dtype)
    if column["type"] in frames.NUMERIC and values.dtype == object:
        numbers = _to_numbers(values, column)
        if is_exact and (numbers.abs() >= integers.LIMIT).any():
            return integers.from_objects(to_number(values.to_numpy()), index=values.index)
        return numbers
    raise errors.BadDataError(
        f"column {column['name']!r} was of type {column['type']} in training, but holds {_describe_type(values)} here, "
        f"such as {_format_example(values)!r} in {row_numbers.name_first(values.dropna())}; {_suggest(values, column)}"
    )


def _format_example(values: pd.Series) -> str:
    example = values.dropna().iloc[0]
    return format_number(example) if isinstance(example, float) else f"{example}"


def _suggest(values: pd.Series, column: dict[str, Any]) -> str:
    """Say what would mend a column of another type: reading it anew as text or times, where it can be read so."""
    if column["type"] in frames.NUMERIC:
        return "every value must be a finite number or missing"
    if column["type"] in frames.TEMPORAL and (values.dtype == "float64" or integers.is_exact(values)):
        return "write times as in ISO 8601, such as '2026-01-31T12:00:00Z'"
    return f"load the dataset with types {{{column['name']!r}: {column['type']!r}}}, or with {_LIKE}"


def _to_numbers(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    unreadable = values[numbers.isna() & values.notna()]
    unusable = unreadable if len(unreadable) else values[numbers.abs() == float("inf")]
    if len(unusable):
        is_word = column["type"] == "boolean" and f"{unusable.iloc[0]}".strip().lower() in _BOOLEAN_WORDS
        raise errors.BadDataError(
            f"column {column['name']!r} was of type {column['type']} in training, but holds the text "
            f"{unusable.iloc[0]!r} in {row_numbers.name_first(unusable)}; every value must be "
            f"{_PERMITTED.get(column['type'], 'a finite number or missing')}"
            + (f": load the dataset with {_LIKE}" if is_word else "")
        )
    return numbers


def _describe_type(values: pd.Series) -> str:
    if values.dtype == object:
        return "text"
    return "numbers" if values.dtype == "float64" or integers.is_exact(values) else "dates"
