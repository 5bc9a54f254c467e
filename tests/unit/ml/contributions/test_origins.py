"""Each feature is traced to the columns that it is made of, and to no others, whatever step made it."""

import pathlib
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import preprocessing

from shared import contract, errors
from shared.ml import frames
from shared.ml.contributions import origins
from shared.ml.recipes import compiling
from shared.recipe.language import Recipe
from workers.training.exports import book, trials

Table = tuple[pd.DataFrame, list[contract.Column]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    path: pathlib.Path = tmp_path_factory.mktemp("origins") / "table.parquet"
    book.make_table().to_parquet(path, index=False)
    columns = [column for column in frames.read_columns(path) if column.name not in ("labels", "amount")]
    return frames.read_frame(path), columns


def fit(table: Table, steps: trials.Steps) -> tuple[Any, pd.DataFrame]:
    """Fit steps, and drop what no estimator takes."""
    frame, columns = table[0], [column for column in table[1] if column.name != "sold"]
    recipe = Recipe.model_validate({"steps": [*steps, *trials.drop_unused(steps, columns)]})
    frame = frame[[column.name for column in compiling.list_used_columns(recipe, columns=columns)]]
    fitted = compiling.compile_recipe(recipe, columns=columns, numbers_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # There are fewer rows than quantiles.
        return fitted.fit(frame, table[0]["sold"].to_numpy()), frame


def transform(fitted: Any, frame: pd.DataFrame) -> Any:
    return np.asarray(fitted.transform(frame), dtype=np.float64)


@pytest.mark.parametrize("label", trials.STEPS)
def test_what_a_column_changes_is_traced_to_it(table: Table, label: str) -> None:
    fitted, frame = fit(table, trials.STEPS[label])
    before = transform(fitted, frame)
    traced = origins.trace_features(fitted, list(frame.columns))
    assert len(traced) == before.shape[1]
    for name in frame.columns:
        # Values are exchanged rather than invented, so that none is unseen.
        after = transform(fitted, frame.assign(**{name: frame[name].iloc[::-1].to_numpy()}))
        differs = ~((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=0)
        assert {index for index, has_changed in enumerate(differs) if has_changed} <= {
            index for index, origin in enumerate(traced) if name in origin
        }


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([trials.FILL], [{"size"}, {"weight"}]),
        ([{"op": "one_hot", "columns": ["colour"]}], [{"size"}, {"weight"}, *[{"colour"}] * 4]),
        (trials.STEPS["`polynomial`"], [{"size"}, {"weight"}, {"size"}, {"size", "weight"}, {"weight"}]),
        (trials.STEPS["`pca`"], [{"size", "weight"}] * 2),
        (
            [{"op": "derive", "name": "both", "expression": "size + weight"}, {"op": "drop", "columns": ["size"]}],
            [{"weight"}, {"size", "weight"}],
        ),
        ([{"op": "impute", "columns": ["size"], "indicator": True}], [{"size"}, {"weight"}, {"size"}]),
    ],
)
def test_a_feature_is_of_one_column_unless_a_step_mixes_them(
    table: Table, steps: trials.Steps, expected: list[set[str]]
) -> None:
    fitted, frame = fit(table, steps)
    traced = origins.trace_features(fitted, list(frame.columns))
    assert [set(origin) for origin in traced if origin <= {"size", "weight", "colour"}] == expected


def test_a_transformer_that_is_not_known_is_refused() -> None:
    with pytest.raises(errors.BadModelError, match="which columns the outputs of Normalizer are made of"):
        origins.trace_features(preprocessing.Normalizer(), ["a"])
    with pytest.raises(errors.BadModelError, match="FunctionTransformer"):
        origins.trace_features(preprocessing.FunctionTransformer(np.cumsum), ["a"])
