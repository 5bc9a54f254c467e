"""The result of fitting a recipe says which steps made how many columns."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared import errors
from shared.ml import frames
from shared.ml.recipes import widths
from shared.recipe.language import Recipe
from tests.unit.ml import tables
from workers import memory
from workers.processing import fit


def fit_mixed(folder: Path, *steps: dict[str, Any], **given: Any) -> fit.FittedFeatures:
    """Fit a recipe on the mixed table."""
    dataset = tables.mixed(folder / "d.parquet")
    return fit.fit_features(
        dataset,
        recipe=Recipe.model_validate_json(json.dumps({"steps": steps})),
        columns=frames.read_columns(dataset),
        transformer_path=folder / "t.skops",
        output_path=folder / "out.parquet",
        **({"target": "bought"} | given),
    )


PREPARED: list[dict[str, Any]] = [
    {"op": "select", "columns": ["age", "town", "seen", "weight"]},
    {"op": "date_parts", "columns": ["seen"], "parts": ["year", "week", "hour"]},
    {"op": "impute", "columns": ["weight", "age"], "strategy": "constant", "value": 0, "indicator": True},
    {"op": "one_hot", "columns": ["town"]},
]


@pytest.mark.parametrize(
    ("steps", "made"),
    [
        (PREPARED, [(2, "date_parts", 1, 3), (4, "one_hot", 1, 4)]),
        (
            [*PREPARED, {"op": "polynomial", "columns": ["weight", "age"]}],
            [(2, "date_parts", 1, 3), (4, "one_hot", 1, 4), (5, "polynomial", 2, 5)],
        ),
        (
            [
                *PREPARED,
                {"op": "impute", "columns": ["seen"]},
                {"op": "pca", "columns": ["seen", "town"], "components": 2, "prefix": "p"},
            ],
            [(2, "date_parts", 1, 3), (4, "one_hot", 1, 4), (6, "pca", 7, 2)],
        ),
        (
            [
                {"op": "hash_encode", "columns": ["town"], "features": 4},
                {"op": "lag", "columns": ["age", "spent"], "order": "seen", "lags": [1, 2]},
                {"op": "scale", "columns": ["age"]},
            ],
            [(1, "hash_encode", 1, 4), (2, "lag", 0, 4)],
        ),
        ([{"op": "scale", "columns": ["age"]}], []),
    ],
)
def test_steps_that_change_the_number_of_columns_say_it(
    tmp_path: Path, steps: list[dict[str, Any]], made: list[tuple[Any, ...]]
) -> None:
    fitted = fit_mixed(tmp_path, *steps)
    assert [(step.step, step.op, step.taken, step.columns) for step in fitted.made] == made


def test_what_a_filter_leaves_out_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep: dict[str, Any] = {"op": "select", "columns": ["age", "town"]}
    one_hot: dict[str, Any] = {"op": "one_hot", "columns": ["town"]}
    monkeypatch.setattr(widths, "MAX_COLUMNS", 3)
    fitted = fit_mixed(tmp_path, keep, {"op": "filter", "where": "town == 'Oslo'"}, one_hot)
    assert fitted.features == ["age", "town_Oslo"]
    with pytest.raises(errors.LimitExceededError, match=r"step 2 \(one_hot\)"):
        fit_mixed(tmp_path, keep, one_hot)


def test_the_memory_of_the_process_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "current_bytes", lambda: 80 * 40 * 8)
    fit_mixed(tmp_path, {"op": "hash_encode", "columns": ["town"], "features": 16})
    with pytest.raises(errors.LimitExceededError, match=r"step 1 \(hash_encode\).*memory of this process.*`features`"):
        fit_mixed(tmp_path, {"op": "hash_encode", "columns": ["town"], "features": 64})


def test_a_column_for_each_class_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widths, "MAX_COLUMNS", 20)
    encode = {"op": "target_encode", "columns": ["town"], "folds": 2}
    keep = {"op": "select", "columns": ["spent", "town"]}
    fit_mixed(tmp_path, keep, encode)
    with pytest.raises(errors.LimitExceededError, match=r"step 2 \(target_encode\)"):
        fit_mixed(tmp_path, keep, encode, target="age", problem="classification")
