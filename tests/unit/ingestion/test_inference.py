"""Types are found over all values of a column, and no value loses anything by its type."""

import datetime

import pytest

from shared import errors
from tests.unit.ingestion.conftest import Load
from workers.ingestion.formats import csv_arrow

UTC = datetime.UTC


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        (["1", "-2", "0"], "integer", [1, -2, 0]),
        (["9223372036854775807", "-9223372036854775808"], "integer", [2**63 - 1, -(2**63)]),
        (["1", "1.5"], "number", [1.0, 1.5]),
        (["1.5", "1"], "number", [1.5, 1.0]),
        (["1e5", "-.5", "5."], "number", [1e5, -0.5, 5.0]),
        (["0.5", "-0.25", "0"], "number", [0.5, -0.25, 0.0]),
        (["true", "False", "TRUE"], "boolean", [True, False, True]),
        (["Yes", "No"], "string", ["Yes", "No"]),
        (["0", "1"], "integer", [0, 1]),
        (["007", "1"], "string", ["007", "1"]),
        (["1", "007"], "string", ["1", "007"]),
        (["-01", "2"], "string", ["-01", "2"]),
        (["01.5", "2.5"], "string", ["01.5", "2.5"]),
        (["+49151", "2"], "string", ["+49151", "2"]),
        (["0x1F", "0x20"], "string", ["0x1F", "0x20"]),
        (["1_000"], "string", ["1_000"]),
        (["1,5"], "number", [1.5]),
        (["1,500"], "string", ["1,500"]),
        (["\u0661"], "string", ["\u0661"]),
        (["9223372036854775808"], "string", ["9223372036854775808"]),
        (["12345678901234567890", "1"], "string", ["12345678901234567890", "1"]),
        (["9007199254740993", "1.5"], "string", ["9007199254740993", "1.5"]),
        (["1.5", "9007199254740993"], "string", ["1.5", "9007199254740993"]),
        (["1e20", "2.5"], "number", [1e20, 2.5]),
        (["1", "abc"], "string", ["1", "abc"]),
        (["true", "1"], "string", ["true", "1"]),
        (["2026-01-02", "1999-12-31"], "date", [datetime.date(2026, 1, 2), datetime.date(1999, 12, 31)]),
        (["2026-02-30"], "string", ["2026-02-30"]),
        (["20260102"], "integer", [20260102]),
        (["2026-01-02", "7"], "string", ["2026-01-02", "7"]),
    ],
)
def test_a_type_holds_every_value_without_loss(load: Load, values: list[str], kind: str, stored: list[object]) -> None:
    loaded = load("id;x\n" + "".join(f"{row};{value}\n" for row, value in enumerate(values)))
    assert loaded.types["x"] == kind
    assert loaded.values["x"] == stored


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02 03:04:05.000006", datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime.datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-01-02 03:04", datetime.datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
    ],
)
def test_times_become_utc(load: Load, text: str, moment: datetime.datetime) -> None:
    loaded = load(f"a,b\n{text},1\n2026-05-05,2\n,3\n")
    assert loaded.types["a"] == "timestamp"
    assert loaded.values["a"] == [moment, datetime.datetime(2026, 5, 5, tzinfo=UTC), None]


def test_times_with_and_without_an_offset_go_together_with_a_note(load: Load) -> None:
    loaded = load("a,b\n2026-01-02T03:00:00+01:00,1\n2026-01-02T03:00:00,2\n")
    assert [moment.hour for moment in loaded.values["a"]] == [2, 3]
    assert "read as UTC" in loaded.notes


def test_a_blank_among_numbers_becomes_a_missing_number(load: Load) -> None:
    loaded = load('a,TotalCharges\n1," "\n2,29.85\n3,NA\n')
    assert loaded.types["TotalCharges"] == "number"
    assert loaded.values["TotalCharges"] == [None, 29.85, None]


def test_spaces_around_a_number_are_ignored_and_around_text_are_kept(load: Load) -> None:
    assert load("a,b\n 1 , x \n").values == {"a": [1], "b": [" x "]}


def test_a_column_without_values_is_text(load: Load) -> None:
    loaded = load("a,b\n1,\n2,\n")
    assert loaded.types["b"] == "string"
    assert loaded.values["b"] == [None, None]


def test_only_columns_with_missing_values_are_nullable(load: Load) -> None:
    loaded = load("a,b\n1,\n2,3\n")
    assert {column.name: column.nullable for column in loaded.result.columns} == {"a": False, "b": True}


def test_infinite_numbers_become_missing_with_a_note(load: Load) -> None:
    loaded = load("a,b\n1.5,1\n-Infinity,2\ninf,3\n1e999,4\nNaN,5\n")
    assert loaded.values["a"] == [1.5, None, None, None, None]
    assert "3 numbers that are infinite" in loaded.notes
    assert "row 2" in loaded.notes


@pytest.mark.parametrize(
    ("late", "kind"), [("1.5", "number"), ("abc", "string"), ("007", "string"), ("2026-01-02", "string")]
)
@pytest.mark.parametrize("row", [0, 7_001, 19_999])
def test_one_late_value_decides_for_the_whole_column(
    load: Load, monkeypatch: pytest.MonkeyPatch, late: str, kind: str, row: int
) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 8192)
    values = [str(position) for position in range(20_000)]
    values[row] = late
    loaded = load("x,b\n" + "".join(f"{value},1\n" for value in values))
    assert loaded.types["x"] == kind
    if kind == "number":
        assert loaded.values["x"][row] == float(late)
        assert loaded.values["x"][1:3] == [1.0, 2.0]
    else:
        assert loaded.values["x"] == values
        assert f"row {row + 1:,} holds '{late}'" in loaded.notes


def test_a_large_integer_and_a_later_fraction_stay_apart(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 64)
    values = ["9007199254740993", *["1"] * 100, "0.5"]
    loaded = load("x,b\n" + "".join(f"{value},1\n" for value in values))
    assert loaded.types["x"] == "string"
    assert loaded.values["x"] == values


@pytest.mark.parametrize(
    ("values", "shown"), [(["5 %", "3"], "5 %"), (["$5", "\u20ac3", "7"], "$5"), (["555 123 456"], "555 123 456")]
)
def test_text_that_looks_like_numbers_of_several_kinds_is_noted(load: Load, values: list[str], shown: str) -> None:
    loaded = load("a;b\n" + "".join(f"{value};1\n" for value in [*values, *values, ""]))
    assert loaded.values["a"] == [*values, *values, None]
    assert f"Column 'a' is stored as text: most of its values look like numbers written like {shown!r}" in loaded.notes


@pytest.mark.parametrize("bad", ["0000-00-00", "2024-02-30", "n/a", "unknown"])
def test_a_single_value_that_is_no_date_is_named(load: Load, bad: str) -> None:
    days = [f"2024-01-{day:02d}" for day in range(1, 29)]
    loaded = load("d,v\n" + "".join(f"{day},1\n" for day in [*days, bad]))
    assert loaded.types["d"] == "string"
    assert f"row 29 holds {bad!r}, which is not a date" in loaded.notes


@pytest.mark.parametrize(
    "values", [["1,5", "a", "b"], ["10.0.0.1", "10.0.0.2"], ["01.02.2026"], ["1,2,3"], ["0301 234"], ["x"], ["007"]]
)
def test_text_that_looks_like_anything_else_is_not_taken_for_numbers(load: Load, values: list[str]) -> None:
    assert "look like numbers" not in load("a;b\n" + "".join(f"{value};1\n" for value in values)).notes


def test_a_large_integer_forced_to_a_number_is_noted(load: Load) -> None:
    loaded = load("x,b\n12345678901234567890,1\n", types={"x": "number"})
    assert loaded.values["x"] == [12345678901234567890.0]
    assert "beyond 2^53" in loaded.notes


def test_an_override_spares_the_inference(load: Load) -> None:
    loaded = load("zip,b\n12345,1\n", types={"zip": "string"})
    assert loaded.values["zip"] == ["12345"]


def test_a_value_that_fits_only_until_a_late_row_is_named_there(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 8192)
    values = [str(position) for position in range(20_000)]
    values[15_000] = "x"
    with pytest.raises(
        errors.BadDataError, match=r"Row 15,001 \(line 15,002\), column 'x': 'x' is not a valid integer"
    ):
        load("x,b\n" + "".join(f"{value},1\n" for value in values), types={"x": "integer"})
