"""Recipes said in ONNX compute what they compute in scikit-learn, on missing and unseen values too."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
import pytest

from shared import contract, errors
from shared.ml import frames
from shared.ml.recipes import compiling
from shared.recipe.language import Recipe
from workers.training.exports import onnx_model, skl2onnx_parts
from workers.training.exports.graph import DOUBLE, Graph
from workers.training.exports.recipe import convert

pytestmark = pytest.mark.slow

COLUMNS = [
    contract.Column(name="a", type="number"),
    contract.Column(name="b", type="number"),
    contract.Column(name="rooms", type="integer"),
    contract.Column(name="word", type="string"),
    contract.Column(name="town", type="string"),
    contract.Column(name="seen", type="timestamp"),
]


def table(*, rows: int, seed: int, words: list[str]) -> pd.DataFrame:
    """Make a table with missing values in every column but `b` and `town`."""
    dice = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": np.where(dice.random(rows) < 0.1, np.nan, dice.normal(size=rows).round(2)),
            "b": dice.exponential(size=rows).round(3),
            "rooms": dice.integers(0, 5, size=rows).astype(np.float64),
            "word": dice.choice(words, size=rows).astype(object),
            "town": dice.choice(["Ulm", "Köln", "Bonn"], size=rows),
        }
    )
    frame.loc[dice.random(rows) < 0.1, "word"] = np.nan
    moments = dice.integers(-6_000_000_000, 6_000_000_000, size=rows)
    frame["seen"] = pd.Series(pd.to_datetime(moments, unit="s", utc=True)).astype(frames.dtype_of("timestamp"))
    frame.loc[::11, "seen"] = pd.NaT
    return frame


TRAINING = table(rows=300, seed=1, words=["red", "red", "green", "blue", "rare" * 3])
NEW = table(rows=200, seed=2, words=["red", "green", "never seen"])
TARGET = (TRAINING["b"] + TRAINING["rooms"] > 2).to_numpy()
FILL = {"op": "impute", "columns": ["a"], "strategy": "mean"}
STEPS: dict[str, list[dict[str, Any]]] = {
    "impute numbers": [{"op": "impute", "columns": ["a"], "strategy": "median", "indicator": True}],
    "impute texts": [
        {"op": "impute", "columns": ["word"], "strategy": "most_frequent", "indicator": True},
        {"op": "one_hot", "columns": ["word"]},
    ],
    "flag numbers, texts and dates": [
        {"op": "impute", "columns": ["a"], "strategy": "mean", "indicator": True},
        {"op": "impute", "columns": ["word"], "strategy": "constant", "value": "none", "indicator": True},
        {"op": "one_hot", "columns": ["word"]},
    ],
    "scale": [FILL, {"op": "scale", "columns": ["a", "b"], "method": "standard"}],
    "scale robustly": [{"op": "scale", "columns": ["a", "b"], "method": "robust"}],
    "scale to bounds": [{"op": "scale", "columns": ["b", "a"], "method": "min_max"}],
    "one-hot with missing values": [{"op": "one_hot", "columns": ["word", "town"]}],
    "one-hot of rare levels": [{"op": "one_hot", "columns": ["word"], "max_categories": 3, "unseen": "rare"}],
    "one-hot of numbers": [{"op": "one_hot", "columns": ["rooms"]}],
    "ordinal": [{"op": "ordinal", "columns": ["word", "rooms"]}],
    "frequencies": [{"op": "frequency_encode", "columns": ["word", "rooms"]}],
    "target": [{"op": "target_encode", "columns": ["word", "town"]}],
    "bins": [FILL, {"op": "bin", "columns": ["a", "b"], "bins": 4, "encode": "ordinal"}],
    "one-hot bins": [{"op": "bin", "columns": ["b"], "bins": 3, "encode": "one_hot"}],
    "log1p": [{"op": "log1p", "columns": ["b"]}],
    "clip": [{"op": "clip", "columns": ["a", "b"], "method": "quantile"}],
    "clip to given bounds": [{"op": "clip", "columns": ["a"], "method": "fixed", "least": -0.5}],
    "polynomial": [FILL, {"op": "polynomial", "columns": ["a", "b"], "degree": 2}],
    "date parts": [
        {
            "op": "date_parts",
            "columns": ["seen"],
            "parts": ["year", "quarter", "month", "day", "weekday", "hour", "minute", "second", "day_of_year"],
        }
    ],
    "weeks and flags of dates": [
        {
            "op": "date_parts",
            "columns": ["seen"],
            "parts": ["week", "iso_year", "is_weekend", "is_month_start", "is_month_end", "epoch_seconds"],
        }
    ],
    "cyclic time": [
        {"op": "cyclic_time", "columns": ["seen"], "parts": ["month", "hour", "day_of_year", "week", "quarter"]}
    ],
    "pca": [FILL, {"op": "pca", "columns": ["a", "b", "rooms"], "components": 2}],
    "derived numbers": [{"op": "derive", "name": "more", "expression": "a * b + rooms"}, FILL],
    "derived texts, of which some are empty and some missing": [
        {"op": "derive", "name": "rest", "expression": 'replace(null_if(word, "blue"), "red", "")'},
        {"op": "one_hot", "columns": ["rest"]},
        {"op": "derive", "name": "short", "expression": "length(town) < 4"},
    ],
    "derived times": [
        {"op": "derive", "name": "later", "expression": 'coalesce(seen, time("2021-01-01"))'},
        {"op": "date_parts", "columns": ["later"], "parts": ["year", "hour"]},
    ],
    "rename and drop": [{"op": "rename", "names": {"a": "amount"}}, {"op": "drop", "columns": ["rooms"]}],
}


def fitted(steps: list[dict[str, Any]]) -> Any:
    """Fit a recipe that ends in numbers: what it leaves as text or date is dropped."""
    named = {name for step in steps for name in step.get("columns", []) if step["op"] != "impute"}
    left = [column.name for column in COLUMNS if column.type in ("string", "timestamp") and column.name not in named]
    wanted = Recipe.model_validate({"steps": [*steps, {"op": "drop", "columns": left}] if left else steps})
    return compiling.compile_recipe(wanted, columns=COLUMNS, numbers_only=True).fit(TRAINING, TARGET)


def in_onnx(transformer: Any, frame: pd.DataFrame, *, names: list[str] | None = None) -> npt.NDArray[np.float64]:
    """Say a fitted transformer of all columns, or of these, in ONNX, and run it."""
    signature: dict[str, Any] = {"columns": [column.model_dump() for column in COLUMNS]}
    graph = Graph([column.name for column in COLUMNS])
    taken = [
        graph.add_input(column.name, kind=onnx_model.kind_of(column.type), number_type=DOUBLE) for column in COLUMNS
    ]
    if names is not None:
        taken = graph.select(taken, names)
    made = graph.concatenate(convert(graph, transformer, taken))
    graph.add_output(made.tensor, "made", element_type=DOUBLE, width=len(made.names))
    model: onnx.ModelProto = graph.finish(notes={})
    fed = onnx_model.feed(frame, signature=signature, inputs=DOUBLE)
    [given] = skl2onnx_parts.load(model).run(["made"], fed)
    return np.asarray(given)


@pytest.mark.parametrize("sort", STEPS)
def test_a_step_is_the_same_in_onnx(sort: str) -> None:
    transformer = fitted(STEPS[sort])
    for frame in (TRAINING, NEW):
        np.testing.assert_allclose(in_onnx(transformer, frame), transformer.transform(frame), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ([{"op": "hash_encode", "columns": ["word"]}], "HashEncode"),
        ([{"op": "date_parts", "columns": ["seen"], "zone": "Europe/Berlin"}], "Europe/Berlin"),
        ([{"op": "text_hash", "columns": ["word"]}], "TextHash"),
        (
            [
                {"op": "parse_dates", "columns": ["word"], "format": "dd.mm.yyyy", "on_error": "null"},
                {"op": "date_parts", "columns": ["word"]},
            ],
            "ParseDates of texts can't be exported to ONNX",
        ),
        (
            [
                {"op": "format_dates", "columns": ["seen"], "format": "%Y-%m"},
                {"op": "one_hot", "columns": ["seen"]},
            ],
            "FormatDates of dates can't be exported to ONNX",
        ),
        ([FILL, {"op": "scale", "columns": ["a"], "method": "quantile", "quantiles": 100}], "QuantileTransformer"),
        ([{"op": "derive", "name": "more", "expression": "number(word)"}], "'number'"),
    ],
)
def test_what_can_not_be_said_in_onnx_is_refused_by_name(steps: list[dict[str, Any]], named: str) -> None:
    with pytest.raises(errors.BadModelError, match=named):
        in_onnx(fitted(steps), TRAINING)
