"""Numbers and dates that are written as countries write them are read exactly, or kept as text with a note."""

import datetime
from typing import Any

import pandas as pd
import pytest

from shared import date_formats, errors
from shared.ml.values import date_texts
from tests.unit.ingestion.conftest import Load, Loaded


def load_column(load: Load, values: list[str], **options: Any) -> Loaded:
    """Load a table whose column x has these values, beside one of text."""
    return load("k;x\n" + "".join(f'a;"{value}"\n' for value in values), **options)


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        (["1,5", "2,25", "7"], [1.5, 2.25, 7.0]),
        (["1.234,50", "-0,5"], [1234.5, -0.5]),
        (["999", "1,234", "12,345,678"], [999, 1234, 12345678]),
        (["1,234.5", "7"], [1234.5, 7.0]),
        (["1.234.567", "12"], [1234567, 12]),
        (["1.250", "3.400", "980"], [1250, 3400, 980]),
        (["12 000", "3\u202f500", "7\u00a0000,5"], [12000.0, 3500.0, 7000.5]),
        (["1 250", "7"], [1250, 7]),
        (["1'000", "2\u2019500.5"], [1000.0, 2500.5]),
        (["\u22125", "7"], [-5, 7]),
        (["(1,250.00)", "3.5"], [-1250.0, 3.5]),
        (["5,5-", "3"], [-5.5, 3.0]),
        (["1.250,50 \u20ac", "3,00 \u20ac"], [1250.5, 3.0]),
        (["\u00a34,144.56", "-\u00a320.50"], [4144.56, -20.5]),
        (["$1,234", "$5.50"], [1234.0, 5.5]),
        (["EUR 5,50", "EUR 1.000,00"], [5.5, 1000.0]),
        (["12,5 %", "3 %"], [12.5, 3.0]),
        (["1,23,456.5", "5"], [123456.5, 5.0]),
    ],
)
def test_numbers_are_read_as_their_country_writes_them(load: Load, values: list[str], stored: list[Any]) -> None:
    loaded = load_column(load, values)
    assert loaded.values["x"] == stored
    assert "Column 'x' was read as numbers with" in loaded.notes


@pytest.mark.parametrize(
    "values",
    [
        ["1,250", "3,400"],
        ["1.5", "1,5"],
        ["555 123 456", "555 222 333"],
        ["192.168.100.200", "192.168.100.201"],
        ["5 %", "3"],
        ["$5", "\u20ac3"],
        ["007", "008"],
        ["01.250", "3,5"],
        ["+5,5", "3"],
        ["(1)", "(2)"],
        ["1.25.0", "1,5"],
        ["1,5", "abc"],
    ],
)
def test_numbers_that_may_mean_several_things_stay_text(load: Load, values: list[str]) -> None:
    assert load_column(load, values).values["x"] == values


def test_one_column_tells_the_decimal_sign_of_all(load: Load) -> None:
    loaded = load("a;b;c\nA;1.250;12,5\nB;3.400;7,25\nC;980;3,0\n")
    assert loaded.values == {"a": ["A", "B", "C"], "b": [1250, 3400, 980], "c": [12.5, 7.25, 3.0]}
    assert "Column 'b' was read as numbers with ',' before decimals and '.' between thousands: 2" in loaded.notes


def test_columns_that_contradict_one_another_decide_for_themselves(load: Load) -> None:
    loaded = load("a;b;c\n1.250;1,5;1.5\n2.250;2,5;2.5\n")
    assert loaded.values == {"a": ["1.250", "2.250"], "b": [1.5, 2.5], "c": [1.5, 2.5]}
    assert "Column 'a' is stored as text: it holds numbers such as '1.250'" in loaded.notes


def test_an_open_point_is_read_with_decimals_and_noted(load: Load) -> None:
    loaded = load_column(load, ["1.250", "3.400"])
    assert loaded.values["x"] == [1.25, 3.4]
    assert "Set `thousands` to '.' if the point is between thousands." in loaded.notes
    assert "thousands" not in load_column(load, ["1.250", "0.5"]).notes


@pytest.mark.parametrize("rows", [6000, 400_000])
def test_a_comma_far_below_changes_what_was_read_above(load: Load, rows: int) -> None:
    loaded = load("a;b\n" + "1;2\n" * rows + "1.250;2,5\n" + "1;2\n" * 10)
    assert loaded.types == {"a": "integer", "b": "number"}
    assert loaded.values["a"][rows] == 1250
    assert loaded.values["b"][rows] == 2.5


def test_a_value_far_below_that_is_no_number_makes_the_column_text(load: Load) -> None:
    loaded = load("a;b\n" + "1;2,5\n" * 300_000 + "1;2.5\n")
    assert loaded.types["b"] == "string"
    assert loaded.values["b"][-2:] == ["2,5", "2.5"]


@pytest.mark.parametrize(
    ("values", "options", "stored"),
    [
        (["1.250", "3.400"], {"thousands": "."}, [1250, 3400]),
        (["1,250", "3,400"], {"thousands": ","}, [1250, 3400]),
        (["1,250", "3,400"], {"decimal": ","}, [1.25, 3.4]),
        (["1.250", "3.400"], {"decimal": ","}, [1250, 3400]),
        (["1.250", "3.400"], {"decimal": "."}, [1.25, 3.4]),
        (["1,250"], {"decimal": ".", "thousands": ""}, ["1,250"]),
        (["555 123 456"], {"thousands": " "}, [555123456]),
        (["1_000"], {"thousands": "_"}, [1000]),
        (["1.5"], {"decimal": ","}, ["1.5"]),
    ],
)
def test_declared_signs_win(load: Load, values: list[str], options: dict[str, str], stored: list[Any]) -> None:
    assert load_column(load, values, **options).values["x"] == stored


def test_a_declared_type_is_read_in_the_style_of_its_column(load: Load) -> None:
    assert load_column(load, ["\u00a34,144.56"], types={"x": "number"}, thousands=",").values["x"] == [4144.56]
    with pytest.raises(errors.BadDataError, match=r"column 'x': 'n/a' is not a valid number"):
        load_column(load, ["\u00a34,144.56", "n/a"], types={"x": "number"}, thousands=",")


def test_numbers_that_a_spreadsheet_cut_off_are_counted(load: Load) -> None:
    loaded = load_column(load, ["1.79E+18", "1.23457E+11", "12"])
    assert "long numbers in scientific form (2), such as '1.79E+18'" in loaded.notes
    assert "scientific" not in load_column(load, ["1.5E-5", "2.5e+3"]).notes


DAY = datetime.date(2024, 2, 1)


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        (["01.02.2024", "3.12.2023"], [DAY, datetime.date(2023, 12, 3)]),
        (["01/02/2024", "25/12/2023"], [DAY, datetime.date(2023, 12, 25)]),
        (["02/01/2024", "12/25/2023"], [DAY, datetime.date(2023, 12, 25)]),
        (["01-02-2024", "25-12-2023"], [DAY, datetime.date(2023, 12, 25)]),
        (["2024/02/01", "2023/12/25"], [DAY, datetime.date(2023, 12, 25)]),
        (["01-Feb-2024", "25-Dec-2023"], [DAY, datetime.date(2023, 12, 25)]),
        (["Feb 1, 2024", "Dec 25, 2023"], [DAY, datetime.date(2023, 12, 25)]),
    ],
)
def test_dates_are_read_as_their_country_writes_them(load: Load, values: list[str], stored: list[Any]) -> None:
    loaded = load_column(load, values)
    assert loaded.values["x"] == stored
    assert "Column 'x' was read as dates written like" in loaded.notes


def test_times_are_read_with_their_dates(load: Load) -> None:
    loaded = load_column(load, ["25.12.2024 10:30", "1.2.2024 9:05"])
    assert loaded.values["x"][1] == datetime.datetime(2024, 2, 1, 9, 5, tzinfo=datetime.UTC)
    loaded = load_column(load, ["12/25/2024 12:30 AM", "1/2/2024 9:05 PM"])
    assert [moment.hour for moment in loaded.values["x"]] == [0, 21]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["01/02/2024", "03/04/2024"], "no day is above 12"),
        (["25/01/2024", "01/25/2024"], "day and month change places"),
        (["01.02.24", "25.12.23"], "two digits"),
        (["31.02.2024", "01.01.2024"], "row 1 holds '31.02.2024'"),
    ],
)
def test_dates_that_are_open_stay_text_with_a_note(load: Load, values: list[str], said: str) -> None:
    loaded = load_column(load, values)
    assert loaded.values["x"] == values
    assert said in loaded.notes


def test_one_column_tells_the_order_of_day_and_month_of_all(load: Load) -> None:
    loaded = load("a,b\n01/02/2024,25/12/2023\n02/01/2024,1/1/2024\n")
    assert loaded.values["a"] == [DAY, datetime.date(2024, 1, 2)]


@pytest.mark.parametrize(
    ("date_format", "value", "stored"),
    [
        ("%d/%m/%Y", "01/02/2024", DAY),
        ("%m/%d/%Y", "02/01/2024", DAY),
        ("dd.mm.yyyy", "01.02.2024", DAY),
        ("%d.%m.%y", "01.02.24", DAY),
        ("%d %B %Y", "1 February 2024", DAY),
        ("%Y%m%d", "20240201", DAY),
    ],
)
def test_a_declared_format_wins(load: Load, date_format: str, value: str, stored: Any) -> None:
    types = {"x": "date"} if date_format == "%Y%m%d" else None
    assert load_column(load, [value], date_format=date_format, types=types).values["x"] == [stored]


@pytest.mark.parametrize(
    ("date_format", "text"),
    [
        ("dd.mm.yyyy", "5.2.2024"),
        ("%m/%d/%y", "02/05/69"),
        ("%m/%d/%y", "02/05/68"),
        ("%d %b %Y", "5 feb. 2024"),
        ("%d %B %Y", "05 February 2024"),
        ("%d %B %Y", "05 SEPT 2024"),
        ("%m/%d/%Y %I:%M %p", "02/05/2024 12:30 am"),
        ("%d.%m.%Y %H:%M:%S.%f", "05.02.2024 23:59:59.5"),
        ("%d.%m.%Y %H:%M%z", "05.02.2024 01:30-0230"),
    ],
)
def test_a_recipe_reads_a_date_as_a_load_does(load: Load, date_format: str, text: str) -> None:
    directives = date_formats.check(date_format)
    type_ = "timestamp" if date_formats.has_time(directives) else "date"
    loaded = load_column(load, [text], date_format=date_format, types={"x": type_}).values["x"][0]
    [made] = date_texts.parse(pd.Series([text]), date_format=directives)
    assert (made if type_ == "timestamp" else made.date()) == loaded


def test_a_date_in_another_format_than_the_declared_one_is_named(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match=r"Row 2 \(line 3\), column 'x': '2024-02-01' is not a valid date"):
        load_column(load, ["01.02.2024", "2024-02-01"], date_format="%d.%m.%Y", types={"x": "date"})


@pytest.mark.parametrize("date_format", ["%Q", "%d.%m", "%d.%d.%Y", "%d.%m.%Y %M", "%d.%m.%Y %I:%M", "", "x"])
def test_a_format_that_says_no_date_is_refused(date_format: str) -> None:
    with pytest.raises(ValueError, match="format"):
        date_formats.check(date_format)


def test_text_in_json_is_read_in_the_same_formats(load: Load) -> None:
    loaded = load('[{"d": "25.12.2023", "n": 1.250}, {"d": "01.02.2024", "n": 2.500}]', "json")
    assert loaded.values == {"d": [datetime.date(2023, 12, 25), DAY], "n": [1.25, 2.5]}
    assert "thousands" not in loaded.notes


def test_a_format_that_fits_no_column_is_noted(load: Load) -> None:
    assert "No column has dates written like '%d.%m.%Y'" in load_column(load, ["x"], date_format="%d.%m.%Y").notes
