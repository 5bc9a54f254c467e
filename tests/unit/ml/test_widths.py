"""What a step would make is counted before anything is fitted, and refused by step, column, number and remedy."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared import errors
from shared.ml.recipes import compiling, sequences, widths
from shared.recipe.language import Recipe
from tests.unit.ml import tables

COLUMNS = tables.columns(a="number", b="number", town="string", user="string", review="string", seen="timestamp")
ROWS = 60


def table() -> pd.DataFrame:
    """Make a table of 60 users in 4 towns, one of them rare, whose reviews have 12 words."""
    return pd.DataFrame(
        {
            "a": np.arange(ROWS, dtype=np.float64),
            "b": np.arange(ROWS, dtype=np.float64) ** 2,
            "town": pd.Series(["Oslo", "Bergen", "Bodø"] * 19 + ["Ny", np.nan, np.nan], dtype=object),
            "user": pd.Series([f"user {row}" for row in range(ROWS)], dtype=object),
            "review": pd.Series([f"word{row % 11} again" for row in range(ROWS)], dtype=object),
            "seen": pd.Series(pd.date_range("2026-01-01", periods=ROWS, tz="UTC").astype("datetime64[us, UTC]")),
        }
    )


def read(*steps: dict[str, Any]) -> Recipe:
    """Read a recipe as the API does."""
    return Recipe.model_validate_json(json.dumps({"steps": steps}))


def most_columns(monkeypatch: pytest.MonkeyPatch, recipe: Recipe, **given: Any) -> int:
    """Find how many columns must be allowed for a recipe."""
    for most in range(1, 2000):
        monkeypatch.setattr(widths, "MAX_COLUMNS", most)
        try:
            widths.require_affordable(recipe, table(), columns=COLUMNS, **given)
        except errors.LimitExceededError:
            continue
        return most
    raise AssertionError("no number is enough")


KEEP = {"op": "select", "columns": ["a", "b", "town", "user", "review", "seen"]}
ONE_HOT = {"op": "one_hot", "columns": ["user"]}
HASH = {"op": "text_hash", "columns": ["review"], "features": 300}
WIDTHS: list[tuple[list[dict[str, Any]], int]] = [
    ([ONE_HOT], 5 + 61),
    ([ONE_HOT | {"max_categories": 20}], 5 + 20),
    ([ONE_HOT | {"min_frequency": 2}], 5 + 1),
    ([ONE_HOT | {"columns": ["town"]}], 5 + 5),
    ([ONE_HOT | {"columns": ["town"], "min_frequency": 5}], 5 + 3 + 1 + 1),
    ([ONE_HOT | {"columns": ["town"], "min_frequency": 0.02}], 5 + 3 + 1 + 1),
    ([ONE_HOT, {"op": "bin", "columns": ["user"], "bins": 2, "encode": "one_hot", "strategy": "uniform"}], 5 + 122),
    ([{"op": "frequency_encode", "columns": ["user"]}], 6),
    ([{"op": "hash_encode", "columns": ["user"], "features": 32}], 5 + 32),
    ([HASH], 5 + 300),
    ([{"op": "tfidf", "columns": ["review"], "max_features": 8}], 5 + 8),
    ([{"op": "tfidf", "columns": ["review"], "max_features": 1000}], 5 + 12),
    # The wide table in between counts, though little is left of it; what nothing needs is not even made.
    ([HASH, {"op": "svd", "columns": ["review"], "components": 2}], 300),
    ([HASH, {"op": "drop", "columns": ["review"]}], 5),
    ([{"op": "polynomial", "columns": ["a", "b"], "degree": 3}], 4 + 9),
    ([{"op": "date_parts", "columns": ["seen"], "parts": ["year", "week", "hour"]}], 5 + 3),
    ([{"op": "cyclic_time", "columns": ["seen"], "parts": ["week", "hour"]}], 5 + 4),
    ([{"op": "bin", "columns": ["a"], "bins": 7, "encode": "one_hot"}], 5 + 7),
    ([{"op": "rename", "names": {"user": "who"}}, ONE_HOT | {"columns": ["who"]}], 5 + 61),
    ([{"op": "lag", "columns": ["a"], "order": "seen", "lags": [1, 2, 3]}], 6 + 3),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "expected"), WIDTHS)
def test_a_recipe_is_refused_where_it_would_make_more_columns(
    monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, Any]], expected: int
) -> None:
    assert most_columns(monkeypatch, read(KEEP, *steps)) == expected


@pytest.mark.parametrize(("steps", "expected"), [case for case in WIDTHS if case[0][0]["op"] != "lag"])
def test_no_more_columns_are_made_than_were_counted(steps: list[dict[str, Any]], expected: int) -> None:
    made = compiling.compile_recipe(read(KEEP, *steps), columns=COLUMNS).set_output(transform="pandas")
    assert made.fit_transform(table()).shape[1] <= expected


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [ONE_HOT],
            r"step 2 \(one_hot\) would make up to 61 columns, 61 of them of 'user': with 60 rows 0.0 GiB; at most 9 col"
        ),
        (
            [ONE_HOT | {"columns": ["town", "user"]}],
            r"step 2 \(one_hot\) would make up to 66 columns, 61 of them of 'user'",
        ),
        ([{"op": "tfidf", "columns": ["review"]}], r"step 2 \(tfidf\) .* 12 of them of 'review'.*`max_features`"),
        ([{"op": "text_hash", "columns": ["review"]}], r"step 2 \(text_hash\) .* 256 columns.*fewer `features`"),
        ([{"op": "polynomial", "columns": ["a", "b"], "degree": 4}], r"\(polynomial\) .*`interaction_only`"),
        ([{"op": "bin", "columns": ["a"], "bins": 9, "encode": "one_hot"}], r"\(bin\) .*fewer `bins`"),
        ([{"op": "date_parts", "columns": ["seen"], "parts": ["year", "month", "day", "hour", "week"]}], "`parts`"),
        (
            [ONE_HOT | {"columns": ["town"]}, {"op": "scale", "columns": ["a"]}],
            r"step 2 \(one_hot\) would make up to 5 columns, of 10 in all, 5 of them of 'town'.*`max_categories`",
        ),
    ],
)  # fmt: skip
def test_the_message_names_step_column_count_and_remedy(
    monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, Any]], message: str
) -> None:
    monkeypatch.setattr(widths, "MAX_COLUMNS", 9)
    with pytest.raises(errors.LimitExceededError, match=message):
        widths.require_affordable(read(KEEP, *steps), table(), columns=COLUMNS)


def test_memory_is_limited_by_the_process_and_by_rows() -> None:
    recipe = read(KEEP, ONE_HOT)
    limits = widths.Limits(10**6, max_bytes=66 * 10**6 * 8)
    widths.require_affordable(recipe, table(), columns=COLUMNS, limits=limits)
    short = widths.Limits(10**6, max_bytes=66 * 10**6 * 8 - 1)
    with pytest.raises(errors.LimitExceededError, match=r"1,000,000 rows 0.5 GiB.*the memory of this process, 0.5 GiB"):
        widths.require_affordable(recipe, table(), columns=COLUMNS, limits=short)
    with pytest.raises(errors.LimitExceededError, match="536,870,912 values are allowed"):
        widths.require_affordable(recipe, table(), columns=COLUMNS, limits=widths.Limits(10**7))
    with pytest.raises(errors.LimitExceededError, match=r"the recipe would make 6 columns.*leave out rows"):
        widths.require_affordable(read(KEEP), table(), columns=COLUMNS, limits=widths.Limits(10**8))


def test_a_column_for_each_class_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = read(KEEP, {"op": "target_encode", "columns": ["user", "town"]})
    assert most_columns(monkeypatch, recipe, limits=widths.Limits(ROWS, classes=2)) == 6
    assert most_columns(monkeypatch, recipe, limits=widths.Limits(ROWS, classes=30)) == 4 + 60


def test_only_the_steps_of_a_part_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    filtered = {"op": "filter", "where": "a > 1"}
    recipe = read(KEEP, {"op": "hash_encode", "columns": ["town"], "features": 40}, filtered, ONE_HOT)
    assert most_columns(monkeypatch, recipe, table_wise=True) == 5 + 40
    assert most_columns(monkeypatch, recipe, table_wise=False) == 4 + 40 + 61


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 120),
        ({"ngrams": [1, 2]}, 180),
        ({"ngrams": [3, 9]}, 0),
        (
            {"analyzer": "characters", "ngrams": [2, 3]},
            2 * 2 * sum(len(f"word{row % 11} again") for row in range(ROWS)),
        ),
    ],
)
def test_sequences_of_texts_are_bounded_before_they_are_counted(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: int
) -> None:
    step = {"op": "tfidf", "columns": ["review"]} | options
    recipe = read(step)
    assert sequences.count(recipe.steps[0], table()["review"]) == expected  # type: ignore[arg-type]
    monkeypatch.setattr(widths, "MAX_SEQUENCES", expected)
    widths.require_countable(recipe, table(), columns=COLUMNS)
    if expected:
        monkeypatch.setattr(widths, "MAX_SEQUENCES", expected - 1)
        with pytest.raises(errors.LimitExceededError, match=rf"step 1 \(tfidf\) would count up to {expected:,} seq"):
            widths.require_countable(recipe, table(), columns=COLUMNS)
