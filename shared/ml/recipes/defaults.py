"""Infers a sound recipe from data when none is given."""

import dataclasses
import re
from typing import Literal

import numpy as np
import pandas as pd

from shared import contract, errors
from shared.ml import frames
from shared.recipe.categories import OneHot
from shared.recipe.columns import Drop
from shared.recipe.language import Recipe
from shared.recipe.numbers import Impute, Scale
from shared.recipe.step import Step
from shared.recipe.times import DateParts

ID_NAME = re.compile(r"(?i:(^|[_\s.-])(id|uuid|guid|index|rowid|row_number)$)|[a-z](ID|Id|UUID)$")
MAX_CATEGORIES = 50
# Text is called free, not categorical, when more than half of its values are distinct and there are many of them.
FREE_TEXT_SHARE = 0.5
FREE_TEXT_DISTINCT = 50
# A missing value is worth a column of its own when at least this share of the rows has it.
INDICATOR_SHARE = 0.01

Group = Literal["numbers", "flagged", "flags", "text", "times", "dates"]


@dataclasses.dataclass(frozen=True)
class InferredRecipe:
    """A recipe, and which columns it drops for which reason."""

    recipe: Recipe
    dropped: dict[str, str]


def infer_recipe(frame: pd.DataFrame, *, columns: list[contract.Column], target: str | None) -> InferredRecipe:
    """Choose steps that give any estimator finite numbers on one scale, and drop what can't help it.

    Identifiers, constants, empty columns and free text are dropped. Numbers get the median and a standard scale,
    text one column per category, dates their parts. BadRecipeError when nothing is left.
    """
    dropped: dict[str, str] = {}
    groups: dict[Group, list[str]] = {}
    for column in columns:
        if column.name == target:
            continue
        reason = _reason_to_drop(frame[column.name], column)
        if reason:
            dropped[column.name] = reason
        else:
            groups.setdefault(_group(frame[column.name], column), []).append(column.name)
    if not groups:
        told = "; ".join(f"{name!r} {reason}" for name, reason in dropped.items()) or "there is only the target"
        raise errors.BadRecipeError(f"no column is left to learn from: {told}")
    steps = [step for group, names in groups.items() for step in _steps(group, names)]
    if dropped:
        steps.insert(0, Drop(op="drop", columns=list(dropped)))
    return InferredRecipe(Recipe(steps=steps), dropped)


def _reason_to_drop(values: pd.Series, column: contract.Column) -> str | None:
    known = values.dropna()
    if known.empty:
        return "holds no value at all"
    distinct = known.nunique()
    if distinct == 1 and len(known) == len(values):
        value = known.iloc[0]
        return f"has the same value in every row: {repr(value) if isinstance(value, str) else value}"
    if column.type == "string":
        return _reason_against_text(known, distinct)
    if column.type == "integer" and distinct == len(known) > 1 and _counts_rows(known, column.name):
        return "looks like an identifier: every row has a whole number of its own"
    return None


def _reason_against_text(known: pd.Series, distinct: int) -> str | None:
    if distinct == len(known) > 1:
        return "looks like an identifier: every row has a text of its own"
    if distinct > FREE_TEXT_DISTINCT and distinct > FREE_TEXT_SHARE * len(known):
        return f"looks like free text: {distinct} different texts in {len(known)} rows"
    return None


def _counts_rows(known: pd.Series, name: str) -> bool:
    """Say whether distinct whole numbers are named like an identifier or count up without a gap."""
    return bool(ID_NAME.search(name)) or (len(known) >= 20 and known.max() - known.min() == len(known) - 1)


def _group(values: pd.Series, column: contract.Column) -> Group:
    if column.type == "string":
        return "text"
    if column.type in frames.TEMPORAL:
        known = values.dropna()
        return "dates" if column.type == "date" or (known == known.dt.normalize()).all() else "times"
    if column.type == "boolean":
        return "flags"
    return "flagged" if np.mean(values.isna()) >= INDICATOR_SHARE else "numbers"


def _steps(group: Group, names: list[str]) -> list[Step]:
    scale = Scale(op="scale", columns=names)
    median = Impute(op="impute", columns=names, indicator=group == "flagged")
    if group == "text":
        filled = Impute(op="impute", columns=names, strategy="constant", value="missing")
        return [filled, OneHot(op="one_hot", columns=names, max_categories=MAX_CATEGORIES)]
    if group == "flags":
        return [Impute(op="impute", columns=names, strategy="most_frequent")]
    if group == "dates":
        return [DateParts(op="date_parts", columns=names), median, scale]
    if group == "times":
        parts = DateParts(op="date_parts", columns=names, parts=["year", "month", "day", "weekday", "hour"])
        return [parts, median, scale]
    return [median, scale]
