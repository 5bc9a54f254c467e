"""What a model takes and gives, as JSON: made when it is trained, held against new data when it is used."""

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
    **more: pydantic.JsonValue,
) -> Signature:
    """Describe what a model was fitted on: `columns` are those that it needs, `nullable` whether any was missing.

    `categories` holds a text column's values, sorted; it is left out when there are more than 100. `classes` are the
    labels, for multilabel all of them. `more` is what only some problems have: `targets` and `separator` of multilabel,
    `quantiles`, the `confidence` of intervals.
    """
    left_out = None if target is None else target.name
    described = [_describe(frame[column.name], column) for column in columns if column.name != left_out]
    return {
        "columns": cast(pydantic.JsonValue, described),
        "target": None if target is None else {"name": target.name, "type": target.type},
        "problem": problem,
        "classes": cast(pydantic.JsonValue, classes),
        **{name: value for name, value in more.items() if value is not None},
    }


def column_names(signature: Signature) -> list[str]:
    """Give the names of the columns that a model needs, in order."""
    return [column["name"] for column in _columns(signature)]


def categories(signature: Signature) -> dict[str, list[str]]:
    """Give the values that the text columns had in training, where the signature lists them."""
    return {column["name"]: column["categories"] for column in _columns(signature) if "categories" in column}


def never_missing(signature: Signature) -> list[str]:
    """Give the columns that had a value in every row of the training data."""
    return [column["name"] for column in _columns(signature) if not column["nullable"]]


def conform(frame: pd.DataFrame, *, signature: Signature) -> pd.DataFrame:
    """Pick a model's columns from a frame of `frames`, in order and with its dtypes; others are ignored.

    Text that reads as a number becomes one where the model has numbers, and a column without any value becomes
    whatever is needed. BadDataError, with the values seen, when a column is missing or of another type.
    """
    wanted = _columns(signature)
    frames.require_columns((column["name"] for column in wanted), present=frame.columns)
    return pd.DataFrame(
        {column["name"]: _checked(_cast(frame[column["name"]], column), column) for column in wanted},
        index=frame.index,
        columns=[column["name"] for column in wanted],
    )


def _columns(signature: Signature) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], signature["columns"])


def _describe(values: pd.Series, column: contract.Column) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "nullable": bool(values.isna().any()),
    }
    if column.type == "string":
        categories = sorted(values.dropna().unique())
        if len(categories) <= MAX_CATEGORIES:
            described["categories"] = categories
    return described


def _checked(values: pd.Series, wanted: dict[str, Any]) -> pd.Series:
    """Refuse numbers other than 0 and 1 where a boolean is wanted: both are float64 here."""
    if wanted["type"] != "boolean":
        return values
    numbers = values.to_numpy()
    others = numbers[(numbers != 0) & (numbers != 1) & ~np.isnan(numbers)]
    if len(others):
        raise errors.BadDataError(
            f"column {wanted['name']!r} was of type boolean in training, but holds {others[0]:g} here; every value "
            "must be true, false, 1, 0 or missing"
        )
    return values


def _cast(values: pd.Series, wanted: dict[str, Any]) -> pd.Series:
    dtype = frames.dtype_of(wanted["type"])
    if values.dtype == dtype:
        return values
    if values.isna().all():
        return pd.Series([None] * len(values), index=values.index).astype(dtype)
    if wanted["type"] in frames.NUMERIC and values.dtype == object:
        return _to_numbers(values, wanted)
    seen = values.dropna().iloc[0]
    raise errors.BadDataError(
        f"column {wanted['name']!r} was of type {wanted['type']} in training, but holds {_sort(values)} here, "
        f"such as {str(seen)!r}; load the dataset with types {{{wanted['name']!r}: {wanted['type']!r}}}"
    )


def _to_numbers(values: pd.Series, wanted: dict[str, Any]) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    unread = values[numbers.isna() & values.notna()]
    if len(unread) or numbers.abs().eq(float("inf")).any():
        seen = unread.iloc[0] if len(unread) else "inf"
        raise errors.BadDataError(
            f"column {wanted['name']!r} was of type {wanted['type']} in training, but holds the text {seen!r} here; "
            "every value must be a finite number or missing"
        )
    return numbers


def _sort(values: pd.Series) -> str:
    if values.dtype == object:
        return "text"
    return "numbers" if values.dtype == "float64" else "dates"
