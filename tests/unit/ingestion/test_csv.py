"""CSV is read as it is written, and refused where it is not well formed."""

import datetime
import gzip
from pathlib import Path

import pydantic
import pytest

from shared import errors
from tests.unit.ingestion.conftest import Load
from workers.ingestion.formats import csv_arrow
from workers.ingestion.limits import Limits


def test_a_plain_table_keeps_its_rows_in_order(load: Load) -> None:
    loaded = load("a,b\n" + "".join(f"{row},x{row}\n" for row in range(5000)))
    assert loaded.values["a"] == list(range(5000))
    assert loaded.values["b"][4999] == "x4999"
    assert loaded.result.rows == 5000


def test_rows_keep_their_order_over_many_blocks(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 1024)
    loaded = load("a,b\n" + "".join(f"{row},{row / 2}\n" for row in range(20_000)))
    assert loaded.values["a"] == list(range(20_000))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_detected(load: Load, delimiter: str) -> None:
    loaded = load(delimiter.join("ab") + "\n" + delimiter.join("12") + "\n" + delimiter.join("34") + "\n")
    assert loaded.values == {"a": [1, 3], "b": [2, 4]}


def test_a_comma_within_semicolons_is_part_of_the_value(load: Load) -> None:
    assert load("a;b\n1,5;x\n2,x;y\n").values == {"a": ["1,5", "2,x"], "b": ["x", "y"]}


def test_a_declared_delimiter_wins(load: Load) -> None:
    assert load("a;b,c\n1;2,3\n", delimiter=",").values == {"a;b": ["1;2"], "c": [3]}


@pytest.mark.parametrize("delimiter", ['"', "\n", "é"])
def test_a_delimiter_that_cannot_be_one_is_refused(load: Load, delimiter: str) -> None:
    with pytest.raises(errors.BadDataError, match="must be one ASCII character"):
        load("a,b\n1,2\n", delimiter=delimiter)


def test_one_column_keeps_its_blank_lines_as_missing_values(load: Load) -> None:
    assert load("a\n1\n\n3\n").values == {"a": [1, None, 3]}


def test_blank_lines_around_the_rows_are_passed_over(load: Load) -> None:
    assert load("\n\r\na,b\n1,2\n\n3,4\n\n").values == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_understood(load: Load, end: str) -> None:
    assert load(end.join(["a,b", "1,2", "3,4"])).values == {"a": [1, 3], "b": [2, 4]}


def test_quotes_may_hold_delimiters_quotes_and_line_ends(load: Load) -> None:
    assert load('"a\nx",b\n"1,""2""","3\r\n4"\n').values == {"a\nx": ['1,"2"'], "b": ["3\r\n4"]}


def test_a_formula_is_stored_as_it_is(load: Load) -> None:
    formulas = ["=cmd()", "@SUM(A1)", "+1+1", "-2+3|calc"]
    assert load("a,b\n" + "".join(f"{formula},1\n" for formula in formulas)).values["a"] == formulas


def test_utf8_with_a_mark_loses_only_the_mark(load: Load) -> None:
    assert load("\ufeffname,b\nä,1\n").values == {"name": ["ä"], "b": [1]}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf16_and_utf32_are_detected(load: Load, encoding: str) -> None:
    text = "name,number\n" + "Müller,1\nŁódź,2\n" * 50
    loaded = load(text.encode(encoding))
    assert loaded.values["name"][:2] == ["Müller", "Łódź"]
    assert "utf-" in loaded.notes


def test_western_text_is_read_with_a_note(load: Load) -> None:
    loaded = load("name,price\nMüller,5 € each\n".encode("cp1252"))
    assert loaded.values == {"name": ["Müller"], "price": ["5 € each"]}
    assert "line 2" in loaded.notes
    assert "cp1252" in loaded.notes


def test_bytes_that_cp1252_lacks_are_read_as_latin1(load: Load) -> None:
    loaded = load(b"name,b\n\xe4\x81,1\n")
    assert loaded.values["name"] == ["ä\x81"]
    assert "latin-1" in loaded.notes


def test_a_declared_encoding_wins(load: Load) -> None:
    assert load("a,b\nж,1\n".encode("cp1251"), encoding="cp1251").values["a"] == ["ж"]


def test_the_mark_of_utf8_is_no_text_of_a_declared_encoding(load: Load) -> None:
    loaded = load("\ufeffname,b\nä,1\n", encoding="iso-8859-1")
    assert loaded.values == {"name": ["ä"], "b": [1]}
    assert "though iso-8859-1 was declared" in loaded.notes


@pytest.mark.parametrize(("text", "written"), [("utf-16", "utf-16"), ("utf-16", "utf-16-be"), ("utf-16", "utf-16-le")])
def test_declared_utf16_is_read_with_a_mark_and_without(load: Load, text: str, written: str) -> None:
    assert load("name,b\nMüller,1\n".encode(written), encoding=text).values == {"name": ["Müller"], "b": [1]}


def test_mixed_encodings_are_refused_with_both_lines(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match="line 2 is UTF-8 and line 4 is not"):
        load("a,b\nü,1\nx,2\n".encode() + "ö,3\n".encode("latin-1"))


def test_a_byte_that_a_declared_encoding_lacks_is_named(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match="Line 3: the byte 0xff is not valid utf-8"):
        load(b"a,b\nx,1\n\xff,2\n", encoding="utf-8")


@pytest.mark.parametrize("name", ["klingon", "rot13", "idna", "unicode_escape", "utf-8\0"])
def test_an_encoding_that_is_none_is_refused(load: Load, name: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="no text encoding"):
        load("a,b\n1,2\n", encoding=name)


def test_a_nul_is_refused_with_its_line(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match="Line 3 contains a NUL"):
        load("a,b\n1,2\n3,\0\n")


@pytest.mark.parametrize("text", ["", "\n\n", "   \n"])
def test_an_empty_file_is_refused(load: Load, text: str) -> None:
    with pytest.raises(errors.BadDataError, match=r"empty|only blank"):
        load(text)


@pytest.mark.parametrize("text", ["a,b", "a,b\n", "a,b\n\n\n"])
def test_a_header_alone_is_refused(load: Load, text: str) -> None:
    with pytest.raises(errors.BadDataError, match="no rows"):
        load(text)


def test_a_hundred_thousand_columns_are_refused(load: Load) -> None:
    with pytest.raises(errors.LimitExceededError, match="100,000 columns; at most 10,000"):
        load(",".join(f"c{column}" for column in range(100_000)) + "\n" + ",".join("1" * 100_000) + "\n")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('a,b\n1,2\n3,"4\n5,6\n', r"Row 2 \(line 3\)"),
        ('a,b\n1,2\n"3,4\n5,6\n', r"Row 2 \(line 3\)"),
        ('a,b\n1,2\n3,"4', r"Row 2 \(line 3\)"),
        ('a,b\n1,2\n3,"', r"Row 2 \(line 3\)"),
        ('a\n1\n"2\n', r"Row 2 \(line 3\)"),
        ('"a,b\n1,2\n', r"The header \(line 1\)"),
        ('a,b\n"1\n1",2\n3,"4\n', r"Row 2 \(line 4\)"),
    ],
)
def test_an_unclosed_quote_is_refused_with_its_place(load: Load, text: str, place: str) -> None:
    with pytest.raises(errors.BadDataError, match=place + ": a quote is opened and never closed"):
        load(text)


def test_a_value_that_ends_in_a_line_end_is_no_unclosed_quote(load: Load) -> None:
    assert load('a,b\n1,"x\n"').values == {"a": [1], "b": ["x\n"]}


def test_an_unclosed_quote_in_a_large_file_stops_early(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 4096)
    rows = "1,2\n" * 5000
    with pytest.raises(errors.LimitExceededError, match="a quote is opened there and never closed"):
        load("a,b\n" + rows + '"3,4\n' + rows)


@pytest.mark.parametrize(("row", "fields"), [("3", 1), ("3,4,5", 3)])
def test_a_ragged_row_is_refused_with_its_line_and_text(load: Load, row: str, fields: int) -> None:
    with pytest.raises(
        errors.BadDataError, match=rf"Row 2 \(line 4\) has {fields} fields, but the header has 2: '{row}'"
    ):
        load(f'a,b\n1,"2\n"\n{row}\n5,6\n')


def test_a_name_that_comes_twice_is_refused(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match="'a' 2 times, in columns 1, 3"):
        load("a,b,a\n1,2,3\n")


def test_columns_without_a_name_get_one_and_a_note(load: Load) -> None:
    loaded = load(",b, \n1,2,3\n")
    assert list(loaded.values) == ["column_1", "b", "column_3"]
    assert "column_1, column_3" in loaded.notes


def test_a_name_that_is_given_to_a_nameless_column_must_be_free(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match="'column_2' 2 times"):
        load("column_2,\n1,2\n")


def test_names_that_would_hurt_as_sql_or_as_a_path_are_only_data(load: Load) -> None:
    names = ["../../etc/passwd", 'x"; DROP TABLE jobs; --', "$(id)", "<script>", "a.b", "a", "\u202ename"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    loaded = load(header + "\n" + ",".join(map(str, range(len(names)))) + "\n")
    assert loaded.values == {name: [position] for position, name in enumerate(names)}
    assert [document["name"] for document in loaded.result.profile] == names
    assert [document["max"] for document in loaded.result.profile] == list(range(len(names)))


def test_a_name_without_end_is_refused(load: Load) -> None:
    with pytest.raises(errors.LimitExceededError, match="has 600 characters"):
        load("a" * 600 + ",b\n1,2\n")


@pytest.mark.parametrize(
    ("start", "meaning"),
    [
        (b"\x80\x04\x95\x10", "pickle"),
        (b"PK\x03\x04", "ZIP"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "compression 'gzip', or for an upload `Content-Encoding: gzip`"),
        (b"PAR1", "Parquet"),
    ],
)
def test_another_format_under_the_name_of_csv_is_recognised(load: Load, start: bytes, meaning: str) -> None:
    with pytest.raises(errors.BadDataError, match=meaning):
        load(start + b"rest")


def test_gzip_is_unpacked(load: Load) -> None:
    assert load("a,b\n1,2\n", packed=True).values == {"a": [1], "b": [2]}


def test_types_can_be_given_by_column(load: Load) -> None:
    loaded = load(
        "i,n,b,s,d,t\n+007,1,yes,5,2026-01-02,2026-01-02\n,,,,,\n",
        types={"i": "integer", "n": "number", "b": "boolean", "s": "string", "d": "date", "t": "timestamp"},
    )
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    assert loaded.table.slice(0, 1).to_pylist() == [
        {"i": 7, "n": 1.0, "b": True, "s": "5", "d": moment.date(), "t": moment}
    ]
    assert loaded.table.slice(1, 1).to_pylist() == [dict.fromkeys("inbsdt")]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "1.5"),
        ("integer", "9223372036854775808"),
        ("integer", "0x1F"),
        ("number", "abc"),
        ("boolean", "maybe"),
        ("date", "02/01/2026"),
        ("date", "2026-02-30"),
        ("timestamp", "yesterday"),
    ],
)
def test_a_value_that_does_not_fit_a_given_type_is_named(load: Load, kind: str, value: str) -> None:
    with pytest.raises(
        errors.BadDataError, match=rf"Row 3 \(line 4\), column 'x': '{value}' is not a valid {kind}; it must be"
    ):
        load(f'id,x\n1,\n2,\n3,"{value}"\n4,\n', types={"x": kind})


def test_a_type_for_a_column_that_is_not_there_is_refused(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match=r"'tenur' \(did you mean 'tenure'"):
        load("tenure,b\n1,2\n", types={"tenur": "integer"})


@pytest.mark.parametrize("limits", [Limits(rows=2), Limits(cells=5)])
def test_too_many_rows_or_cells_are_refused(load: Load, limits: Limits) -> None:
    with pytest.raises(errors.LimitExceededError, match=r"at most \d (rows|cells) are allowed"):
        load("a,b\n1,2\n3,4\n5,6\n", limits=limits)


def test_a_value_without_end_is_refused_with_its_place(load: Load) -> None:
    with pytest.raises(errors.LimitExceededError, match="Row 2, column 'b': the value is 30 bytes long; at most 20"):
        load("a,b\n1,x\n2," + "y" * 30 + "\n", limits=Limits(field_bytes=20))


def test_a_failed_load_leaves_no_file(load: Load, tmp_path: Path) -> None:
    with pytest.raises(errors.BadDataError):
        load("a,b\n1,2\n3,x\n", types={"b": "integer"})
    assert not (tmp_path / "target").exists()
