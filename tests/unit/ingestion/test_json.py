"""JSON lines and JSON documents become tables, with numbers kept as they were written."""

import datetime
import json

import pytest

from shared import errors
from tests.unit.ingestion.conftest import Load
from workers.ingestion.formats import json_rows, json_spill
from workers.ingestion.limits import Limits


def test_json_lines_become_rows_in_order(load: Load) -> None:
    loaded = load("".join(json.dumps({"a": row, "b": f"x{row}"}) + "\n" for row in range(3000)), "ndjson")
    assert loaded.values["a"] == list(range(3000))
    assert loaded.types == {"a": "integer", "b": "string"}


@pytest.mark.parametrize(
    "document",
    ['[{"a": 1, "b": "x"}, {"a": 2}]', '{"a": [1, 2], "b": ["x", null]}', '\n [ {"a":1,"b":"x"},\n{"a":2} ]\n'],
)
def test_both_forms_of_a_document_give_the_same_table(load: Load, document: str) -> None:
    assert load(document, "json").values == {"a": [1, 2], "b": ["x", None]}


def test_an_array_is_read_in_small_parts(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "READ_CHARACTERS", 7)
    monkeypatch.setattr(json_spill, "BATCH_CHARACTERS", 100)
    rows = [{"a": row, "text": 'br}ace " and \\ ü'} for row in range(200)]
    assert load(json.dumps(rows), "json").table.to_pylist() == rows


def test_a_column_that_turns_up_late_is_missing_before(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_spill, "BATCH_CHARACTERS", 1)
    loaded = load('{"a": 1}\n{"b": 2, "a": 3}\n{"c": 4}\n', "ndjson")
    assert loaded.values == {"a": [1, 3, None], "b": [None, 2, None], "c": [None, None, 4]}


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        ("1, 2.5", "number", [1.0, 2.5]),
        ("2.0, 3.0", "number", [2.0, 3.0]),
        ("9223372036854775807, 1", "integer", [2**63 - 1, 1]),
        ("9223372036854775808, 1", "string", ["9223372036854775808", "1"]),
        ("9007199254740993, 0.5", "string", ["9007199254740993", "0.5"]),
        ('"007", "5"', "string", ["007", "5"]),
        ('"5", "6"', "string", ["5", "6"]),
        ('"true", "false"', "string", ["true", "false"]),
        ("true, false", "boolean", [True, False]),
        ('1, "x"', "string", ["1", "x"]),
        ("true, 1", "string", ["true", "1"]),
        ('"", " "', "string", ["", " "]),
        ('"NA", "x"', "string", ["NA", "x"]),
        ("null, 1", "integer", [None, 1]),
    ],
)
def test_the_kinds_of_json_decide_the_type(load: Load, values: str, kind: str, stored: list[object]) -> None:
    loaded = load(f'{{"x": [{values}]}}', "json")
    assert loaded.types["x"] == kind
    assert loaded.values["x"] == stored


def test_dates_in_strings_are_found(load: Load) -> None:
    loaded = load('{"d": "2026-01-02", "t": "2026-01-02T03:04:05Z"}', "ndjson")
    assert loaded.types == {"d": "date", "t": "timestamp"}


def test_nested_values_become_json_text_with_a_note(load: Load) -> None:
    loaded = load('{"x": {"a": [1, 1.50, true, null, "é"], "n": 9223372036854775808}}\n{"x": [2]}', "ndjson")
    assert loaded.values["x"] == ['{"a": [1, 1.50, true, null, "é"], "n": 9223372036854775808}', "[2]"]
    assert "'x' holds arrays or objects" in loaded.notes


def test_nan_and_infinity_become_missing_with_a_note(load: Load) -> None:
    loaded = load('{"x": 1.5}\n{"x": NaN}\n{"x": Infinity}\n{"x": 1e999}\n', "ndjson")
    assert loaded.values["x"] == [1.5, None, None, None]
    assert "2 numbers that are infinite" in loaded.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": ', r"Line 2 is not valid JSON: .* cut off"),
        ('{"a": 1}\n\n[1]\n', r"Line 3 is an array; it must be an object"),
        ("7", "Line 1 is the number 7"),
        ("null", "Line 1 is null"),
        ('{"a": 1} {"a": 2}', "Line 1 is not valid JSON: Extra data at '{\"a\": 2}'"),
        ('{"a": 1, "a": 2}', "Line 1: an object has the member 'a' twice"),
        ('{"a": ' + "[" * 100_000, "Line 1 is nested too deeply"),
        ('{"a": "\\ud800"}', "Column 'a' contains half of a surrogate pair"),
        ('{"a\\ud800": 1}', "The name of column 1 contains half of a surrogate pair"),
        ('{"a": 1}\n{"a": \0}', "Line 2 contains a NUL"),
        ("a,b\n1,2\n", "Line 1 is not valid JSON: Expecting value at 'a,b'"),
        ("", "empty"),
        ("\n\n", "no rows"),
        ("{}\n{}\n", "no rows"),
    ],
)
def test_lines_that_are_wrong_are_named(load: Load, text: str, message: str) -> None:
    with pytest.raises(errors.BadDataError, match=message):
        load(text, "ndjson")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1}, {"a": 2', "Row 2 is not valid JSON"),
        ('[{"a": 1}', r"After row 1: expected '\]' but found the end of the file"),
        ('[{"a": 1},]', r"Row 2 is not valid JSON: Expecting value at '\]'"),
        ('[{"a": 1} {"a": 2}]', "After row 1: expected"),
        ('[{"a": 1}, 7]', "Row 2 is the number 7"),
        ('[{"a": 1}] x', "The array is followed by 'x'"),
        ("[]", "no rows"),
        ("{}", "no rows"),
        ("null", r"The document: expected '\[' but found 'n'"),
        ('{"a": 1}', "The member 'a' is the number 1"),
        ('{"a": [1], "b": [1, 2]}', "Column 'a' has 1 values and column 'b' has 2"),
        ('[{"a": 1}, {"a": ' + "[" * 100_000, "Row 2 is nested too deeply"),
        ('[{"a": {"b": 1, "b": 2}}]', "Row 1: an object has the member 'b' twice"),
    ],
)
def test_documents_that_are_wrong_are_named(load: Load, text: str, message: str) -> None:
    with pytest.raises(errors.BadDataError, match=message):
        load(text, "json")


def test_a_number_of_ten_thousand_digits_is_text(load: Load) -> None:
    digits = "9" * 10_000
    assert load(f'{{"a": {digits}}}', "ndjson").values["a"] == [digits]


def test_json_in_another_encoding_than_utf_is_refused(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match="Line 2: the byte 0xfc is not valid utf-8"):
        load('{"a": "x"}\n{"a": "ü"}\n'.encode("latin-1"), "ndjson")


def test_json_in_utf16_is_read(load: Load) -> None:
    assert load('{"a": "Łódź"}\n'.encode("utf-16"), "ndjson").values == {"a": ["Łódź"]}


def test_a_line_without_end_is_refused(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "ROW_CHARACTERS", 100)
    with pytest.raises(errors.LimitExceededError, match="Line 2 is longer than 100"):
        load('{"a": 1}\n{"a": "' + "x" * 200, "ndjson")


def test_an_element_without_end_is_refused(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "ROW_CHARACTERS", 100)
    monkeypatch.setattr(json_rows, "READ_CHARACTERS", 10)
    with pytest.raises(errors.LimitExceededError, match="Row 2 is longer than 100"):
        load('[{"a": 1}, {"a": "' + "x" * 2000, "json")


def test_a_document_of_columns_is_bounded(load: Load) -> None:
    with pytest.raises(errors.LimitExceededError, match="may have at most 20 characters"):
        load('{"a": [1, 2, 3, 4, 5, 6, 7]}', "json", limits=Limits(document_characters=20))


@pytest.mark.parametrize("limits", [Limits(columns=2), Limits(rows=2), Limits(cells=4)])
def test_rows_columns_and_cells_are_bounded(load: Load, limits: Limits) -> None:
    with pytest.raises(errors.LimitExceededError, match="at most"):
        load('{"a": 1}\n{"b": 1}\n{"c": 1}\n', "ndjson", limits=limits)


def test_given_types_apply_to_json_too(load: Load) -> None:
    loaded = load('{"a": "007", "b": 5}\n', "ndjson", types={"a": "integer", "b": "string"})
    assert loaded.values == {"a": [7], "b": ["5"]}


def test_a_name_without_letters_gets_one(load: Load) -> None:
    assert load('{"": 1}', "ndjson").values == {"column_1": [1]}


@pytest.mark.parametrize("types", [{}, {"t": "timestamp"}])
@pytest.mark.parametrize(
    ("texts", "stored", "finer"),
    [
        (["2024-05-01T12:00:00.123456789Z", "2024-05-01T12:00:01.5Z"], ["12:00:00.123456", "12:00:01.500000"], 1),
        (["2024-05-01 12:00:00.1234567", "2024-05-01 12:00:00.7654321"], ["12:00:00.123456", "12:00:00.765432"], 2),
        (["2024-05-01T14:00:00.999999999+02:00", "2024-05-01T12:00"], ["12:00:00.999999", "12:00:00.000000"], 1),
        (["2024-05-01T12:00:00.100000000Z"], ["12:00:00.100000"], 0),
        (["2024-05-01T12:00:00.123456789012Z"], ["12:00:00.123456"], 1),
    ],
)
def test_times_finer_than_a_microsecond_are_cut_with_their_count(
    load: Load, types: dict[str, str], texts: list[str], stored: list[str], finer: int
) -> None:
    lines = "".join(f'{{"t": "{text}"}}\n' for text in texts) + '{"t": null}\n'
    loaded = load(lines, "ndjson", types=types)
    assert loaded.types == {"t": "timestamp"}
    expected = [datetime.datetime.fromisoformat(f"2024-05-01T{time}+00:00") for time in stored]
    assert loaded.values["t"] == [*expected, None]
    noted = f"'t' holds {finer} times finer than a microsecond, which were cut to microseconds" in loaded.notes
    assert noted is bool(finer)


def test_times_far_from_1970_may_have_nanoseconds_too(load: Load) -> None:
    loaded = load('{"t": "9999-12-31T23:59:59.999999999Z"}\n{"t": "0001-01-01T00:00:00.000000001Z"}\n', "ndjson")
    low = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    high = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    assert loaded.values == {"t": [high, low]}
    assert "'t' holds 2 times finer" in loaded.notes


def test_a_text_with_many_decimals_is_no_time(load: Load) -> None:
    texts = ["2024-05-01T12:00:00.123456789Z", "2024-05-01T12:00:00.123456789 o'clock"]
    loaded = load("".join(f'{{"t": "{text}"}}\n' for text in texts), "ndjson")
    assert loaded.types == {"t": "string"}
    assert loaded.values == {"t": texts}


def test_all_digits_of_a_time_are_kept_as_text(load: Load) -> None:
    loaded = load('{"t": "2024-05-01T12:00:00.123456789Z"}\n', "ndjson", types={"t": "string"})
    assert loaded.values == {"t": ["2024-05-01T12:00:00.123456789Z"]}
    assert "finer" not in loaded.notes


def test_fractions_with_more_digits_than_a_float_are_counted(load: Load) -> None:
    texts = [
        "0.12345678901234567890",
        "0.1",
        "0.50000000000000000000",
        "-1.00000000000000000001e-5",
        "0.30000000000000004",
    ]
    loaded = load("".join(f'{{"x": {text}}}\n' for text in texts), "ndjson")
    assert loaded.values == {"x": [float(text) for text in texts]}
    assert "'x' holds 2 numbers with more digits than the about 16 that a number keeps" in loaded.notes


def test_whole_numbers_beyond_a_float_are_counted(load: Load) -> None:
    loaded = load('{"x": 9007199254740993}\n{"x": -9007199254740995}\n{"x": 1}\n', "ndjson", types={"x": "number"})
    assert "'x' holds 2 numbers beyond 2^53" in loaded.notes
