"""Functions on texts are in ONNX what they are in Python, for every character."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.training.exports import characters, texts
from workers.training.exports.graph import BOOL, DOUBLE, STRING, Graph

pytestmark = pytest.mark.slow

SAMPLES = [
    "",
    " ",
    "a",
    "Hello, World!",
    "İSTANBUL Straße ǅ ﬁ",
    "ΟΔΥΣΣΕΥΣ",
    "ΔΣ ΣΔΣ'Σ.Σ' Σ ΔΣ'Δ ΔΣ' ΔΣΣ",
    "😀 naïve Café\u0301 👩‍👩‍👧",
    "\u2003\x1f two\u00a0 \u3000",
    "\ue000,\ue000",
    "a,b,,c",
    ",,",
    "9007199254740993 ٣ Ⅷ ²",
]
RUNS: dict[str, tuple[Callable[[Graph, str], str], Callable[[str], Any], int]] = {
    "lower": (lambda graph, tensor: texts.change_case(graph, tensor, upper=False), str.lower, STRING),
    "upper": (lambda graph, tensor: texts.change_case(graph, tensor, upper=True), str.upper, STRING),
    "strip": (texts.strip, str.strip, STRING),
    "length": (texts.count_characters, len, DOUBLE),
    "replace": (
        lambda graph, tensor: texts.replace(graph, tensor, ",", "ab"),
        lambda text: text.replace(",", "ab"),
        STRING,
    ),
    "shorten": (
        lambda graph, tensor: texts.replace(graph, tensor, "aa", ""),
        lambda text: text.replace("aa", ""),
        STRING,
    ),
    "part": (lambda graph, tensor: texts.split_part(graph, tensor, ",", 2)[0], lambda text: _part(text, 2), STRING),
    "substring": (
        lambda graph, tensor: texts.substring(graph, tensor, start=2, count=3),
        lambda text: text[1:4],
        STRING,
    ),
    "contains": (
        lambda graph, tensor: texts.matches(graph, tensor, f".*{characters.escape('.a')}.*"),
        lambda text: ".a" in text,
        BOOL,
    ),
}
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("ΣΔδ'a,. İ\u0301A\n"), max_size=30)


def _part(text: str, number: int) -> str:
    parts = text.split(",")
    return parts[number - 1] if len(parts) >= number else ""


def session(name: str) -> onnxruntime.InferenceSession:
    """Write a function as ONNX, and load it into the plain runtime."""
    function, _, element_type = RUNS[name]
    graph = Graph(["x"])
    block = graph.add_input("x", kind="text", number_type=DOUBLE)
    graph.add_output(function(graph, block.tensor), "y", element_type=element_type, width=1)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(graph.finish(notes={}).SerializeToString(), options)


@pytest.mark.parametrize("name", RUNS)
def test_a_function_on_texts_is_the_same_in_onnx(name: str) -> None:
    loaded, function = session(name), RUNS[name][1]

    def require_equal(values: list[str]) -> None:
        [result] = loaded.run(None, {"x": np.asarray(values, dtype=object).reshape(-1, 1)})
        assert result.ravel().tolist() == [function(text) for text in values]

    require_equal(SAMPLES)
    require_equal([""])
    require_equal(["", ""])
    require_equal(list(characters.list_all())[:0x3000])

    @given(st.lists(ANY_TEXT, min_size=1, max_size=8))
    @settings(max_examples=150, deadline=None)
    def search(values: list[str]) -> None:
        require_equal(values)

    search()
