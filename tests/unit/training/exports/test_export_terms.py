"""TF-IDF weighs in ONNX what it weighs in scikit-learn: words and characters, of any language."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ml import artifacts, texts
from shared.recipe.language import Recipe
from tests.unit.training import tables
from tests.unit.training.exports.test_export_recipe import in_onnx
from tests.unit.training.exports.test_export_texts import SAMPLES
from workers.training.exports import onnx_file

pytestmark = pytest.mark.slow

OPTIONS: list[dict[str, Any]] = [
    {},
    {"ngrams": (1, 3)},
    {"ngrams": (2, 2), "lowercase": False},
    {"max_features": 5, "min_texts": 2},
    {"max_share": 0.5, "ngrams": (1, 2)},
    {"analyzer": "characters"},
    {"analyzer": "characters", "ngrams": (2, 4)},
    {"analyzer": "characters", "ngrams": (4, 6), "lowercase": False},
    {"analyzer": "characters", "ngrams": (5, 5), "max_features": 40},
]
PARTS = ["Hello", "hello", "World", "x", "yy", "Straße", "STRASSE", "ΟΔΟΣ", "ὈΔΥΣΣΕΎΣ", "İzmir", "naïve", "nai\u0308ve"]
PARTS += [
    "café_1",
    "😀",
    "👩‍👩‍👧",
    "don't",
    "9007199254740993",
    "٣٤",
    "東京都",
    "Привет",
    "ﬁn",
    "a b",
    ",,",
    "\u2003",
    "\x1f",
    "\ue000",
]


def reviews(*, rows: int, seed: int) -> pd.DataFrame:
    """Make texts of odd words and spaces, some of them empty or missing, in two columns."""
    random = np.random.default_rng(seed)
    words = np.asarray(PARTS, dtype=object)

    def make() -> Any:
        count = random.integers(0, 12)
        text = "".join(random.choice([" ", "  ", "\t", "-", ". "]) + word for word in random.choice(words, size=count))
        return np.nan if random.random() < 0.05 else text

    frame = pd.DataFrame({name: [make() for _ in range(rows)] for name in ("word", "town")}, dtype=object)
    return frame.assign(a=0.0, b=0.0, rooms=0.0, seen=pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]"))


def require_equal(fitted: Any, frame: pd.DataFrame) -> None:
    """Require the same weights."""
    actual = in_onnx(fitted, frame, names=["word", "town"])
    np.testing.assert_allclose(actual, fitted.transform(frame[["word", "town"]]), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_tfidf_is_the_same_in_onnx(options: dict[str, Any]) -> None:
    frame = reviews(rows=1_000, seed=0)
    fitted = texts.Tfidf(**options).fit(frame[["word", "town"]])
    require_equal(fitted, reviews(rows=2_000, seed=1))
    require_equal(fitted, frame.iloc[:1])
    odd = reviews(rows=len(SAMPLES), seed=2).assign(word=np.asarray(SAMPLES, dtype=object))
    require_equal(fitted, odd)
    nothing = frame.iloc[:3].assign(word="", town=np.nan).astype({"town": object})
    require_equal(fitted, nothing)


@given(
    values=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), min_size=2, max_size=20),
    analyzer=st.sampled_from(["words", "characters"]),
    shortest=st.integers(1, 2),
    more=st.integers(0, 3),
    lowercase=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_random_texts_are_weighed_the_same_in_onnx(
    values: list[str], analyzer: str, shortest: int, more: int, *, lowercase: bool
) -> None:
    frame = reviews(rows=len(values), seed=0).assign(word=np.asarray(values, dtype=object), town="one two one")
    frame.loc[0, "word"] = "some words"
    options: dict[str, Any] = {
        "analyzer": analyzer,
        "lowercase": lowercase,
        "ngrams": (min(shortest, 2), shortest + more),
    }
    require_equal(texts.Tfidf(**options).fit(frame[["word", "town"]]), frame)


def test_a_model_of_texts_is_exported_and_answers_in_the_plain_runtime(tmp_path: Path) -> None:
    frame = reviews(rows=600, seed=0)[["word", "town"]]
    frame["about_x"] = frame["word"].astype(str).str.contains("x|yy")
    recipe = Recipe.model_validate(
        {
            "steps": [
                {"op": "derive", "name": "letters", "expression": "coalesce(length(strip(word)), 0)"},
                {"op": "tfidf", "columns": ["word"], "ngrams": [1, 2], "max_features": 50},
                {"op": "tfidf", "columns": ["town"], "analyzer": "characters", "ngrams": [2, 3], "max_features": 50},
            ]
        }
    )
    trained = tables.train(frame, tmp_path, name="LogisticRegression", target="about_x", wanted=recipe)
    pipeline = artifacts.load(tmp_path / "model.skops", sha256=trained.sha256)
    details: Any = onnx_file.write(
        pipeline,
        tmp_path / "dataset.parquet",
        signature=trained.signature,
        problem="classification",
        notes={},
        path=tmp_path / "model.onnx",
    )
    assert details["parity"]["label_mismatches"] == 0
    assert details["parity"]["greatest_difference"] < 1e-5
    assert details["opsets"]["com.microsoft"] == 1
    fresh = reviews(rows=1_000, seed=1)[["word", "town"]]
    inputs = {name: fresh[name].fillna("").to_numpy(dtype=object).reshape(-1, 1) for name in fresh}
    label, probabilities = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, inputs)
    fresh = fresh.where(fresh != "", np.nan)
    np.testing.assert_array_equal(label, pipeline.predict(fresh))
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(fresh), rtol=0, atol=1e-6)
