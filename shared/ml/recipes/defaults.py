"""Infers a recipe from data when none is given."""

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
from shared.recipe.texts import Tfidf
from shared.recipe.times import DateParts

ID_NAME = re.compile(r"(?i:(^|[_\s.-])(id|uuid|guid|index|rowid|row_number)$)|[a-z](ID|Id|UUID)$")
MAX_CATEGORIES = 50
# Text counts as free, not categorical, when more than half of its values are distinct and there are many of them.
FREE_TEXT_SHARE = 0.5
FREE_TEXT_DISTINCT = 50
# Text is prose when more than half of its values have two words of two letters or more.
PROSE_SHARE = 0.5
WORD = re.compile(r"[^\W\d_]{2}")
MAX_TEXTS, MAX_PARTS = 1000, 50
TEXT_STEPS = "the steps `tfidf` and `text_hash` of a recipe make features of its words"
# Missing values get an indicator column when at least this share of the rows has one.
INDICATOR_SHARE = 0.01

Group = Literal["numbers", "numbers with gaps", "booleans", "text", "free text", "times", "dates"]


@dataclasses.dataclass(frozen=True)
class InferredRecipe:
    """A recipe, and the columns that it drops, each with the reason."""

    recipe: Recipe
    dropped: dict[str, str]


def infer_recipe(frame: pd.DataFrame, *, columns: list[contract.Column], target: str | None) -> InferredRecipe:
    """Choose steps that make finite numbers on one scale for any estimator, and drop columns that can't help it.

    Identifiers, constants, empty columns and free text are dropped. Numbers are imputed with the median and scaled,
    text becomes one column per category, and dates their parts. When nothing but free text is there, its terms are
    weighed. BadRecipeError when no column is left.
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
            groups.setdefault(_choose_group(frame[column.name], column), []).append(column.name)
    texts = [column.name for column in columns if column.name in dropped and _is_prose(frame[column.name], column)]
    if texts and not groups:
        groups["free text"] = texts
        dropped = {name: reason for name, reason in dropped.items() if name not in texts}
    if not groups:
        reasons = "; ".join(f"{name!r} {reason}" for name, reason in dropped.items()) or "there is only the target"
        raise errors.BadRecipeError(f"no column is left to learn from: {reasons}")
    steps = [step for group, names in groups.items() for step in _choose_steps(group, names)]
    if dropped:
        steps.insert(0, Drop(op="drop", columns=list(dropped)))
    return InferredRecipe(Recipe(steps=steps), dropped)


def _reason_to_drop(values: pd.Series, column: contract.Column) -> str | None:
    present = values.dropna()
    if present.empty:
        return "holds no value at all"
    distinct = present.nunique()
    if distinct == 1 and len(present) == len(values):
        value = present.iloc[0]
        return f"has the same value in every row: {repr(value) if isinstance(value, str) else value}"
    if column.type == "string":
        return _reason_to_drop_text(present, distinct)
    if column.type == "integer" and distinct == len(present) > 1 and _looks_like_identifier(present, column.name):
        return "looks like an identifier: every row has a whole number of its own"
    return None


def _reason_to_drop_text(present: pd.Series, distinct: int) -> str | None:
    if distinct == len(present) > 1:
        if _has_words(present):
            return f"looks like free text: every row has a text of its own; {TEXT_STEPS}"
        return "looks like an identifier: every row has a text of its own"
    if distinct > FREE_TEXT_DISTINCT and distinct > FREE_TEXT_SHARE * len(present):
        return f"looks like free text: {distinct} different texts in {len(present)} rows; {TEXT_STEPS}"
    return None


def _is_prose(values: pd.Series, column: contract.Column) -> bool:
    """Return whether a column has different texts, and most of them several words."""
    present = values.dropna()
    return column.type == "string" and present.nunique() > 1 and _has_words(present)


def _has_words(texts: pd.Series) -> bool:
    """Return whether most of the texts have several words, so that steps on texts can learn from them."""
    looked_at = texts.iloc[:MAX_TEXTS].tolist()
    several = [sum(bool(WORD.search(part)) for part in text.split(maxsplit=MAX_PARTS)) > 1 for text in looked_at]
    return sum(several) > PROSE_SHARE * len(several)


def _looks_like_identifier(numbers: pd.Series, name: str) -> bool:
    """Return whether distinct whole numbers are named like an identifier or count up without a gap."""
    # As Python's integers, whose difference can't overflow.
    span = int(numbers.max()) - int(numbers.min())
    return bool(ID_NAME.search(name)) or (len(numbers) >= 20 and span == len(numbers) - 1)


def _choose_group(values: pd.Series, column: contract.Column) -> Group:
    if column.type == "string":
        return "text"
    if column.type in frames.TEMPORAL:
        present = values.dropna()
        return "dates" if column.type == "date" or (present == present.dt.normalize()).all() else "times"
    if column.type == "boolean":
        return "booleans"
    return "numbers with gaps" if np.mean(values.isna()) >= INDICATOR_SHARE else "numbers"


def _choose_steps(group: Group, names: list[str]) -> list[Step]:
    scale = Scale(op="scale", columns=names)
    median = Impute(op="impute", columns=names, indicator=group == "numbers with gaps")
    if group == "text":
        fill = Impute(op="impute", columns=names, strategy="constant", value="missing")
        return [fill, OneHot(op="one_hot", columns=names, max_categories=MAX_CATEGORIES)]
    if group == "free text":
        return [Tfidf(op="tfidf", columns=names)]
    if group == "booleans":
        return [Impute(op="impute", columns=names, strategy="most_frequent")]
    if group == "dates":
        return [DateParts(op="date_parts", columns=names), median, scale]
    if group == "times":
        parts = DateParts(op="date_parts", columns=names, parts=["year", "month", "day", "weekday", "hour"])
        return [parts, median, scale]
    return [median, scale]
