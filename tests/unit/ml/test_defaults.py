"""The inferred recipe suits any estimator, and drops what can't help one, with the reason."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import threadpoolctl
from sklearn import base, ensemble, linear_model, model_selection, pipeline

from shared import contract, errors
from shared.ml import frames, targets
from shared.ml.recipes import compiling, defaults
from shared.recipe.numbers import Impute
from shared.recipe.times import DateParts
from tests.unit.ml import tables

pytestmark = pytest.mark.slow


def infer(kind: contract.ColumnType, values: list[Any], *, name: str = "x") -> compiling.InferredRecipe:
    """Infer the recipe of a table with a harmless column and this one."""
    frame = pd.DataFrame(
        {"harmless": np.arange(len(values)) % 2.0, name: pd.Series(values, dtype=frames.dtype_of(kind))}
    )
    types = [*tables.columns(harmless="number"), contract.Column(name=name, type=kind)]
    return compiling.infer_recipe(frame, columns=types, target=None)


@pytest.mark.parametrize(
    ("kind", "values", "reason"),
    [
        ("number", [np.nan] * 30, "holds no value at all"),
        ("string", ["same"] * 30, "has the same value in every row: 'same'"),
        ("string", [f"id-{n}" for n in range(30)], "looks like an identifier: every row has a text of its own"),
        ("integer", list(range(1000, 1030)), "looks like an identifier: every row has a whole number of its own"),
        (
            "string",
            [f"text {n % 90}" for n in range(100)],
            f"looks like free text: 90 different texts in 100 rows; {defaults.TEXT_STEPS}",
        ),
        (
            "string",
            [f"it was good number {n}" for n in range(30)],
            f"looks like free text: every row has a text of its own; {defaults.TEXT_STEPS}",
        ),
        ("string", [f"A-{n} x {n}" for n in range(30)], "looks like an identifier: every row has a text of its own"),
    ],
)
def test_what_can_not_help_is_dropped_with_the_reason(
    kind: contract.ColumnType, values: list[Any], reason: str
) -> None:
    assert infer(kind, values).dropped == {"x": reason}


@pytest.mark.parametrize("others", [{}, {"empty": [None] * 40, "id": [f"id-{n}" for n in range(40)]}])
def test_texts_that_are_all_there_is_are_learned_from(others: dict[str, list[Any]]) -> None:
    good = [n % 2 == 0 for n in range(40)]
    reviews = [f"order {n} was {'lovely, thanks' if is_good else 'broken, sadly'}" for n, is_good in enumerate(good)]
    frame = pd.DataFrame({"review": [*reviews[:-1], np.nan], **others}, dtype=object)
    columns = [contract.Column(name=name, type="string") for name in frame.columns]
    found = compiling.infer_recipe(frame, columns=columns, target=None)
    steps = [step.model_dump(include={"op", "columns"}) for step in found.recipe.steps]
    assert [step for step in steps if step["op"] != "drop"] == [{"op": "tfidf", "columns": ["review"]}]
    assert set(found.dropped) == set(others)
    model = pipeline.Pipeline(
        [
            ("recipe", compiling.compile_recipe(found.recipe, columns=columns, numbers_only=True)),
            ("estimator", linear_model.LogisticRegression()),
        ]
    )
    model.fit(frame.iloc[:30], good[:30])
    assert model.predict(frame.iloc[30:39]).tolist() == good[30:39]


def test_texts_of_one_word_are_refused_with_the_reason() -> None:
    frame = pd.DataFrame({"code": [f"id-{n}" for n in range(40)]}, dtype=object)
    with pytest.raises(errors.BadRecipeError, match="'code' looks like an identifier"):
        compiling.infer_recipe(frame, columns=tables.columns(code="string"), target=None)


def test_distinct_whole_numbers_are_an_identifier_only_when_named_or_counted_like_one() -> None:
    prices = [n * n for n in range(30)]
    assert infer("integer", prices).dropped == {}
    assert infer("integer", prices, name="paid").dropped == {}
    assert list(infer("integer", prices, name="customer_id").dropped) == ["customer_id"]
    assert list(infer("integer", prices, name="orderID").dropped) == ["orderID"]


def test_a_value_in_some_rows_only_is_kept_because_its_absence_may_tell_something() -> None:
    inferred = infer("number", [1.0, np.nan] * 20)
    assert inferred.dropped == {}
    filled = [step for step in inferred.recipe.steps if isinstance(step, Impute) and "x" in step.columns]
    assert [step.indicator for step in filled] == [True]


def test_nothing_left_is_an_error_that_says_why() -> None:
    frame = pd.DataFrame({"a": [1.0, 1.0], "y": [0.0, 1.0]})
    with pytest.raises(errors.BadRecipeError, match="no column is left to learn from: 'a' has the same value"):
        compiling.infer_recipe(frame, columns=tables.columns(a="number", y="number"), target="y")
    with pytest.raises(errors.BadRecipeError, match="there is only the target"):
        compiling.infer_recipe(frame, columns=tables.columns(y="number"), target="y")


def test_every_type_becomes_finite_numbers(tmp_path: Path) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    frame, types = frames.read_frame(path), frames.read_columns(path)
    inferred = compiling.infer_recipe(frame, columns=types, target="bought")
    made = compiling.compile_recipe(
        inferred.recipe, columns=[c for c in types if c.name != "bought"], numbers_only=True
    ).fit(frame)
    assert np.isfinite(made.transform(frame)).all()
    names = set(made.get_feature_names_out())
    assert {"age_missing", "member", "town_Oslo", "town_missing", "joined_month", "seen_hour"} <= names
    assert "joined_hour" not in names


def test_times_get_their_hour_and_mere_dates_do_not() -> None:
    midnight = [pd.Timestamp(datetime.datetime(2026, 1, 1 + n % 28, tzinfo=datetime.UTC)) for n in range(30)]
    parts = [step.parts for step in infer("timestamp", midnight).recipe.steps if isinstance(step, DateParts)]
    assert parts == [["year", "month", "day", "weekday"]]
    noon = [instant + pd.Timedelta(hours=12) for instant in midnight]
    parts = [step.parts for step in infer("timestamp", noon).recipe.steps if isinstance(step, DateParts)]
    assert parts == [["year", "month", "day", "weekday", "hour"]]


@pytest.mark.parametrize(
    "estimator",
    [
        linear_model.LogisticRegression(max_iter=1000),
        ensemble.HistGradientBoostingClassifier(early_stopping=True, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_churn_is_predicted_well_without_its_customer_id(tmp_path: Path, estimator: base.BaseEstimator) -> None:
    path = tables.telco(tmp_path / "telco.parquet")
    types = [column for column in frames.read_columns(path) if column.name != "Churn"]
    frame = frames.read_frame(path, columns=[column.name for column in types])
    values, known = targets.read_target(path, target="Churn", problem="classification")
    inferred = compiling.infer_recipe(frame, columns=types, target=None)
    assert list(inferred.dropped) == ["customerID"]
    assert frame["TotalCharges"].isna().sum() == 11
    assert known.all()
    model = pipeline.Pipeline(
        [("recipe", compiling.compile_recipe(inferred.recipe, columns=types)), ("model", estimator)]
    )
    folds = model_selection.StratifiedKFold(5, shuffle=True, random_state=7)
    with threadpoolctl.threadpool_limits(limits=1):
        assert model_selection.cross_val_score(model, frame, values, scoring="roc_auc", cv=folds).mean() >= 0.84
