"""A model's signature, as JSON: the columns that it takes and what it predicts; new data is checked against it."""

from typing import Any, cast

import numpy as np
import pandas as pd
import pydantic

from shared import contract, errors
from shared.ml import frames, targets

Signature = dict[str, pydantic.JsonValue]
MAX_CATEGORIES = 100


def make_signature(
    frame: pd.DataFrame,
    *,
    columns: list[contract.Column],
    problem: str,
    target: contract.Column | None = None,
    classes: list[targets.Label] | None = None,
    **optional: pydantic.JsonValue,
) -> Signature:
    """Describe what a model was fitted on: `columns` are those that it needs, `nullable` whether any was missing.

    `categories` are a text column's values, sorted; left out when there are more than 100. `classes` are the labels,
    for multilabel all of them. `optional` is what only some problems have: `targets` and `separator` of multilabel,
    `quantiles`, the `confidence` of intervals.
    """
    target_name = None if target is None else target.name
    descriptions = [_describe(frame[column.name], column) for column in columns if column.name != target_name]
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
        {column["name"]: _require_boolean(_cast(frame[column["name"]], column), column) for column in columns},
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


def _require_boolean(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    """Refuse numbers other than 0 and 1 in a boolean column: both types are float64 here."""
    if column["type"] != "boolean":
        return values
    numbers = values.to_numpy()
    others = numbers[(numbers != 0) & (numbers != 1) & ~np.isnan(numbers)]
    if len(others):
        raise errors.BadDataError(
            f"column {column['name']!r} was of type boolean in training, but holds {others[0]:g} here; every value "
            "must be true, false, 1, 0 or missing"
        )
    return values


def _cast(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    dtype = frames.dtype_of(column["type"])
    if values.dtype == dtype:
        return values
    if values.isna().all():
        return pd.Series([None] * len(values), index=values.index).astype(dtype)
    if column["type"] in frames.NUMERIC and values.dtype == object:
        return _to_numbers(values, column)
    example = values.dropna().iloc[0]
    raise errors.BadDataError(
        f"column {column['name']!r} was of type {column['type']} in training, but holds {_describe_type(values)} here, "
        f"such as {str(example)!r}; load the dataset with types {{{column['name']!r}: {column['type']!r}}}"
    )


def _to_numbers(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    unreadable = values[numbers.isna() & values.notna()]
    if len(unreadable) or numbers.abs().eq(float("inf")).any():
        example = unreadable.iloc[0] if len(unreadable) else "inf"
        raise errors.BadDataError(
            f"column {column['name']!r} was of type {column['type']} in training, but holds the text {example!r} here; "
            "every value must be a finite number or missing"
        )
    return numbers


def _describe_type(values: pd.Series) -> str:
    if values.dtype == object:
        return "text"
    return "numbers" if values.dtype == "float64" else "dates"
