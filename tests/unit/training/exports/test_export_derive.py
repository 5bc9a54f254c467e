"""Expressions of `derive` are in ONNX what they are in Python, on missing values, odd texts and extreme numbers too."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import errors
from shared.ml import column_transformers, frames
from shared.recipe.functions import FUNCTIONS
from tests.unit.training.exports.test_export_recipe import COLUMNS, in_onnx
from tests.unit.training.exports.test_export_texts import SAMPLES
from workers.training.exports import arithmetic, text_calls

pytestmark = pytest.mark.slow

NUMBERS = [np.nan, 0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 7.0, 1e-17, 1e-300, 1e300, -1e300, 2.0**53 - 1, 2.0**53, 0.1]
NOT_EXPORTED = ["week", "iso_year", "is_weekend", "is_month_start", "is_month_end", "epoch_seconds"]
TYPES: dict[str, str] = {column.name: column.type for column in COLUMNS}
EXPRESSIONS = [
    "a + b * 2 - rooms / 3",
    "-a + +b",
    "a // b",
    "a % b",
    "a // 0.1",
    "a % -3",
    "a ** 2 + b ** 0.5",
    "a / 0",
    "abs(a) + sqrt(b) + exp(a / 100) + floor(a) + ceil(b)",
    "log(a)",
    "log1p(a)",
    "round(a, 2)",
    "round(a, -1) + round(b)",
    "least(a, b, rooms)",
    "greatest(a, b)",
    "a < b <= rooms",
    "a != b",
    "a == b or not rooms > 2",
    "a > 0 and b > 0",
    "a in [1, 2.5, 7]",
    "rooms not in [1, 2]",
    "where(a > b, a, null_if(b, 1))",
    "coalesce(a, b, 0)",
    "coalesce(null_if(word, 'a'), town)",
    "is_null(word) or is_null(a) or is_null(seen)",
    "where(word == town, word, None)",
    "word != town",
    "word in ['a', 'Hello, World!', '']",
    "lower(word)",
    "upper(word)",
    "strip(word)",
    "length(word)",
    "length(strip(word))",
    "contains(word, '.')",
    "starts_with(word, 'ΔΣ') or ends_with(word, 'c')",
    "replace(word, ',', '; ')",
    "replace(word, ',', '')",
    "substring(word, 2, 3)",
    "split_part(word, ',', 2)",
    "concat(word, ' ', upper(town), '!')",
    "text(a > b)",
    "text(word)",
    "year(seen) * 10000 + month(seen) * 100 + day(seen)",
    "hour(seen, 'UTC') + minute(seen) / 60",
    "days_between(time('2020-02-29'), seen)",
    "seconds_between(seen, time('1969-12-31T23:59:59.5Z'))",
    "seen >= time('2020-01-01')",
    "where(seen > time('2020-01-01'), seen, time('2020-01-01'))",
    "coalesce(seen, time('2021-01-01'))",
    "null_if(seen, time('2021-01-01'))",
]


def table(*, rows: int, seed: int) -> pd.DataFrame:
    """Make a table of extreme and of missing values."""
    random = np.random.default_rng(seed)
    words = [*SAMPLES[1:], np.nan]
    frame = pd.DataFrame(
        {
            "a": random.choice(NUMBERS, size=rows),
            "b": np.where(random.random(rows) < 0.5, random.choice(NUMBERS, size=rows), random.normal(size=rows) * 9),
            "rooms": random.choice([np.nan, 0.0, 1.0, 2.0, 3.0, 2.0**53 - 1], size=rows),
            "word": np.asarray(words, dtype=object)[random.integers(0, len(words), size=rows)],
            "town": random.choice(["a", "Ulm", "Köln"], size=rows).astype(object),
        }
    )
    moments = random.integers(-6_000_000_000, 6_000_000_000, size=rows)
    frame["seen"] = pd.Series(pd.to_datetime(moments, unit="s", utc=True)).astype(frames.dtype_of("timestamp"))
    frame.loc[::7, "seen"] = pd.NaT
    return frame


def require_equal(expression: str, frame: pd.DataFrame) -> None:
    """Require that a derived column is the same; texts and times are compared by a second expression on them."""
    fitted = column_transformers.Derive("new", expression, TYPES).fit(frame)
    expected = fitted.transform(frame)["new"]
    if expected.dtype == object or expected.dtype.kind == "M":
        rows = expected.isna().to_numpy()
        np.testing.assert_array_equal(in_onnx(_then(expression, "is_null({})"), frame).ravel() == 1, rows)
        for value in pd.unique(expected.dropna())[:40]:
            literal = f'time("{value.isoformat()}")' if expected.dtype != object else repr(value)
            if "\\" in literal or not value:
                continue
            actual = in_onnx(_then(expression, f"coalesce({{}} == {literal}, False)"), frame).ravel() == 1
            np.testing.assert_array_equal(actual, (expected == value).to_numpy(), err_msg=repr(value))
        return
    np.testing.assert_allclose(in_onnx(fitted, frame).ravel(), expected, rtol=1e-12, atol=0)


def _then(expression: str, outer: str) -> Any:
    return column_transformers.Derive("new", outer.format(f"({expression})"), TYPES).fit(table(rows=1, seed=0))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_is_the_same_in_onnx(expression: str) -> None:
    require_equal(expression, table(rows=3_000, seed=0))


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("number(word)", "'number'"),
        ("text(a)", "`text` of a number"),
        ("text(seen)", "`text` of a time"),
        ("word < town", "order of texts"),
        ("rooms == 9007199254740993", "9007199254740993"),
        ("hour(seen, 'Europe/Berlin')", "Europe/Berlin"),
        *((f"{name}(seen)", f"'{name}'") for name in NOT_EXPORTED),
    ],
)
def test_what_onnx_can_not_compute_exactly_is_refused_by_name(expression: str, named: str) -> None:
    frame = table(rows=20, seed=0)
    with pytest.raises(errors.BadModelError, match=named):
        in_onnx(column_transformers.Derive("new", expression, TYPES).fit(frame), frame)


def test_every_function_is_tried_here() -> None:
    texts = " ".join([*EXPRESSIONS, *(f"{name}(seen)" for name in NOT_EXPORTED)])
    texts += "number( col( quarter( weekday( second( day_of_year("
    assert [name for name in FUNCTIONS if f"{name}(" not in texts] == []
    assert set(arithmetic.FUNCTIONS) | set(text_calls.PATTERNS) <= set(FUNCTIONS)


NUMERIC = st.recursive(
    st.sampled_from(["a", "b", "rooms", "1", "0.5", "-3", "length(word)", "month(seen)"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda part: f"abs({part})"),
        st.tuples(inner, inner).map(lambda parts: f"coalesce({parts[0]}, {parts[1]})"),
        st.tuples(inner, inner).map(lambda parts: f"where({parts[0]} < {parts[1]}, {parts[1]}, {parts[0]})"),
        st.tuples(inner, inner).map(lambda parts: f"least({parts[0]}, {parts[1]})"),
    ),
    max_leaves=6,
)


@given(NUMERIC, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_random_expressions_are_the_same_in_onnx(expression: str, seed: int) -> None:
    require_equal(f"a * 0 + {expression}", table(rows=200, seed=seed))
