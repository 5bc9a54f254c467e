"""Expressions give what pandas would, missing values as in SQL, and nothing that grows."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shared import errors
from shared.ml import expression_functions, expressions, frames, integers
from shared.recipe import functions

NAN = math.nan
TYPES = {"a": "number", "n": "integer", "flag": "boolean", "town": "string", "seen": "timestamp", "the day": "date"}


@pytest.fixture(autouse=True)
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a file that hostile expressions try to create."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "canary"


def moments(*texts: str | None) -> pd.Series:
    """Make a column of times."""
    return pd.Series(pd.to_datetime(pd.Series(texts, dtype=object), utc=True)).astype("datetime64[us, UTC]")


def frame() -> pd.DataFrame:
    """Make a frame with a column of every type, the third row missing everywhere."""
    return pd.DataFrame(
        {
            "a": [1.5, -2.0, NAN, 0.0],
            "n": [3.0, 4.0, NAN, 10.0],
            "flag": [1.0, 0.0, NAN, 1.0],
            "town": pd.Series(["Oslo", "Bodø x", NAN, ""], dtype=object),
            "seen": moments("2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", None, "2024-12-31T23:30:00Z"),
            "the day": moments("2026-01-01", "2024-02-29", None, "1970-01-01"),
        }
    )


def compute(text: str) -> list[Any]:
    """Compute an expression, None standing for missing."""
    made = expressions.compute(text, frame(), types=TYPES)
    return [None if pd.isna(value) else value for value in made]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + n", [4.5, 2, None, 10]),
        ("n / a", [2, -2, None, None]),
        ("n % a", [0, 0, None, None]),
        ("n // 3", [1, 1, None, 3]),
        ("a ** 2", [2.25, 4, None, 0]),
        ("a ** -1", [1 / 1.5, -0.5, None, None]),
        ("a ** 0.5", [1.5**0.5, None, None, 0]),
        ("-a", [-1.5, 2, None, 0]),
        ("log(a)", [math.log(1.5), None, None, None]),
        ("exp(n * 100)", [math.exp(300), math.exp(400), None, None]),
        ("round(a / 7, 2)", [0.21, -0.29, None, 0]),
        ("least(a, n, 1)", [1, -2, None, 0]),
        ("greatest(a, n)", [3, 4, None, 10]),
        ("a > 0", [1, 0, None, 0]),
        ("0 <= a < 2", [1, 0, None, 1]),
        ("n in [3, 10]", [1, 0, None, 1]),
        ("n not in [3, 10]", [0, 1, None, 0]),
        ("town not in ['Oslo']", [0, 1, None, 1]),
        ("flag == True", [1, 0, None, 1]),
        ("not flag", [0, 1, None, 0]),
        ("flag and a > 0", [1, 0, None, 0]),
        ("flag and False", [0, 0, 0, 0]),
        ("flag or True", [1, 1, 1, 1]),
        ("flag or a > 5", [1, 0, None, 1]),
        ("is_null(a) or a > 1", [1, 0, 1, 0]),
        ("where(flag, a, n)", [1.5, 4, None, 0]),
        ("where(is_null(flag), 9, None)", [None, None, 9, None]),
        ("coalesce(a, -1)", [1.5, -2, -1, 0]),
        ("null_if(a, 0)", [1.5, -2, None, None]),
        ("lower(town)", ["oslo", "bodø x", None, ""]),
        ("length(town)", [4, 6, None, 0]),
        ("contains(town, 'o')", [1, 1, None, 0]),
        ("starts_with(town, 'B')", [0, 1, None, 0]),
        ("ends_with(town, 'o')", [1, 0, None, 0]),
        ("replace(town, 'o', '00')", ["Osl00", "B00dø x", None, ""]),
        ("substring(town, 2, 2)", ["sl", "od", None, ""]),
        ("split_part(town, ' ', 2)", [None, "x", None, None]),
        ("strip(concat(' ', town, text(n), ' '))", ["Oslo3", "Bodø x4", None, "10"]),
        ("text(flag)", ["true", "false", None, "true"]),
        ("text(a)", ["1.5", "-2", None, "0"]),
        (
            "text(seen)",
            ["2026-03-29T00:59:59.000000Z", "2026-03-29T01:00:00.000000Z", None, "2024-12-31T23:30:00.000000Z"],
        ),
        ("number('1e3') + number(town)", [None, None, None, None]),
        ("number(text(n))", [3, 4, None, 10]),
        ("hour(seen, 'Europe/Berlin')", [1, 3, None, 0]),
        ("year(seen, 'Europe/Berlin')", [2026, 2026, None, 2025]),
        ("weekday(col('the day'))", [3, 3, None, 3]),
        ("day_of_year(col('the day'))", [1, 60, None, 1]),
        ("days_between(col('the day'), time('2026-01-02'))", [1, 673, None, 20455]),
        ("seconds_between(seen, time('2026-03-29T03:00:00+02:00'))", [1, 0, None, 39058200]),
        ("seen >= time('2026-03-29T01:00:00')", [0, 1, None, 0]),
        ("year(coalesce(seen, time('1999-01-01')))", [2026, 2026, 1999, 2024]),
        ("town < 'P'", [1, 1, None, 1]),
        ("'x' == 'x'", [1, 1, 1, 1]),
        ("None + 1", [None, None, None, None]),
    ],
)
def test_a_value_is_as_expected_row_by_row(text: str, expected: list[Any]) -> None:
    made = compute(text)
    assert [value is None for value in made] == [value is None for value in expected]
    for seen, wanted in zip(made, expected, strict=True):
        assert seen == (wanted if isinstance(wanted, str | None) else pytest.approx(wanted, rel=1e-12, abs=1e-12))


def test_the_results_dtype_is_that_of_its_kind_also_without_rows() -> None:
    for rows in (frame(), frame().iloc[:0]):
        assert expressions.compute("upper(town)", rows, types=TYPES).dtype == object
        assert expressions.compute("a > 1", rows, types=TYPES).dtype == np.float64
        assert str(expressions.compute("where(flag, seen, None)", rows, types=TYPES).dtype) == "datetime64[us, UTC]"


def test_a_condition_keeps_only_the_rows_where_it_is_true() -> None:
    assert expressions.find_true("a >= 0", frame(), types=TYPES).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("day(col('the day'), 'Asia/Tokyo')", "day(col('the day'), 'UTC')"),
        (" hour( (day) ,\r\n ('Asia/' 'Tokyo') )", "hour( (day) ,\r\n ('UTC') )"),
        ("('ø' == 'å' or\nday(day, 'GB') > day(seen, 'GB'))", "('ø' == 'å' or\nday(day, 'UTC') > day(seen, 'GB'))"),
        ("day(where(flag, day, None), 'GB')", "day(where(flag, day, None), 'UTC')"),
        ("day(null_if(day, seen), 'GB')", "day(null_if(day, seen), 'UTC')"),
        ("day(coalesce(day, seen), 'GB')", "day(coalesce(day, seen), 'GB')"),
        ("day(time('2026-01-01'), 'GB') + round(a, 2)", "day(time('2026-01-01'), 'GB') + round(a, 2)"),
    ],
)
def test_what_gives_dates_alone_is_read_without_a_zone(text: str, plain: str) -> None:
    assert expressions.with_plain_dates(text, types=TYPES | {"day": "date"}) == plain


def test_a_condition_on_a_date_is_the_same_in_every_zone() -> None:
    kept = expressions.find_true("day(col('the day'), 'America/New_York') == 29", frame(), types=TYPES)
    assert kept.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    "text", ["n * m % 2", "n * m", "text(n * m - n)", "n - m / 2", "where(n > m, n + 1, m + 1)", "n"]
)
@pytest.mark.parametrize("n", [94906267, 2**53 - 1, 2**53 + 1, -(2**63)])
def test_what_is_calculated_in_a_row_does_not_depend_on_others(text: str, n: int) -> None:
    whole = {"n": "integer", "m": "integer"}
    results = []
    for others in ([], [None, 3], [2**60, None], [-(2**63)]):
        table = pa.table({"n": pa.array([*others, n]), "m": pa.array([*others, 94906267])})
        with integers.ignore_rounding():
            made = expressions.compute(text, frames.to_frame(table), types=whole)
        assert len(made) == len(others) + 1
        results.append(made.iloc[-1])
    assert results == results[:1] * 4
    assert {type(result) is str for result in results} == {text.startswith("text")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n * n % 2 == 1", True),
        ("n * n == 9007199515875289", True),
        ("n * n - 1 == 9007199515875289", False),
        ("(n * n - 1) // 2 * 2 + 1 == n * n", True),
        ("n * n / 2 > 0", True),
        ("n * half > 0", True),
    ],
)
def test_conditions_calculate_whole_numbers_exactly_whatever_other_rows_hold(text: str, expected: bool) -> None:
    for other in (None, 3, 2**60):
        table = pa.table({"n": pa.array([94906267, other]), "half": [0.5, 0.5]})
        types = {"n": "integer", "half": "number"}
        assert expressions.find_true(text, frames.to_frame(table), types=types)[0] == expected


def test_parts_of_times_at_both_ends_of_the_calendar_are_those_that_clocks_show() -> None:
    ends = pd.Series(np.array(["0001-01-01", "9999-12-31T23:30", "NaT"], "datetime64[us]")).dt.tz_localize("UTC")
    rows = pd.DataFrame({"seen": ends})
    for zone, part, wanted in [
        ("Europe/Berlin", "year", [1, 10000]),
        ("America/New_York", "year", [0, 9999]),
        ("America/New_York", "month", [12, 12]),
        ("Asia/Tokyo", "hour", [9, 8]),
        # A Monday was the first day of the year 1, and a Friday is the last one of 9999.
        ("Asia/Tokyo", "weekday", [0, 5]),
        ("America/New_York", "weekday", [6, 4]),
        ("America/New_York", "day_of_year", [366, 365]),
        ("Asia/Tokyo", "week", [1, 52]),
    ]:
        made = expressions.compute(f"{part}(seen, '{zone}')", rows, types=TYPES)
        assert made[:2].tolist() == wanted, (zone, part)
        assert np.isnan(made[2])
    kept = expressions.find_true("year(seen, 'Asia/Tokyo') == 10000", rows, types=TYPES)
    assert kept.tolist() == [False, True, False]


def test_every_function_of_the_language_can_be_computed() -> None:
    literals = {"text": "'UTC'", "number": "1"}
    columns = {"text": "town", "number": "a", "time": "seen", "boolean": "flag", "any": "a", "same": "a"}
    for name, known in functions.FUNCTIONS.items():
        if name in ("col", "time"):
            continue
        given = [(literals if n in known.literals else columns)[kind] for n, kind in enumerate(known.takes)]
        assert len(compute(f"{name}({', '.join(given)})")) == 4, name


def test_texts_that_would_grow_without_end_are_refused_before_they_are_made() -> None:
    grown = "town"
    for _ in range(8):
        grown = f"replace({grown}, 'o', '{'o' * 100}')"
    with pytest.raises(errors.LimitExceededError, match="at most 10,000"):
        compute(grown)
    long = f"replace(replace(town, 'O', '{'O' * 90}'), 'O', '{'x' * 100}')"
    assert len(compute(long)[0]) == 9003
    with pytest.raises(errors.LimitExceededError, match="a text of 18,006 characters"):
        compute(f"concat({long}, {long})")


def test_all_texts_together_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expression_functions, "MAX_TEXTS", 12)
    with pytest.raises(errors.LimitExceededError, match="at most 10,000 and 12"):
        compute("concat(town, 'abc')")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch canary')",
        "().__class__.__bases__[0].__subclasses__()",
        "where(True, open('canary', 'w'), 1)",
        "time(exec('open(chr(99),chr(119))'))",
        "a.to_csv('canary')",
        "town.str",
        "@print",
        "`a`",
        "exit()",
    ],
)
def test_hostile_expressions_do_nothing_even_if_the_api_lets_them_through(canary: Path, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # any refusal will do.
        expressions.compute(text, frame(), types=TYPES)
    assert list(canary.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time('yesterday')", "'yesterday' is not a time"),
        ("time('9999999-01-01')", "is not a time"),
        ("hour(seen, '../../etc/passwd')", "there is no time zone"),
        ("substring(town, 0, 1)", "a position of 1 or more"),
        ("split_part(town, ' ', 0)", "counts from 1"),
        ("replace(town, '', 'x')", "1 character or more"),
    ],
)
def test_literals_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(errors.BadRecipeError, match=message):
        compute(text)
