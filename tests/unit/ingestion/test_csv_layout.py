"""What stands above, below and beside the rows of a CSV file is not taken for rows or names."""

from typing import Any

import pytest

from shared import errors
from tests.unit.ingestion.conftest import Load

THREE = {"id": [1, 2], "amt": [2.5, 3.5], "qty": [3, 4]}
ROWS = "id,amt,qty\n1,2.5,3\n2,3.5,4\n"


@pytest.mark.parametrize(
    "above",
    [
        "Sales report 2024,,\n",
        "Sales report 2024\n",
        "Sales report 2024\n\n",
        "Sales report 2024,,\nCompany X,,\n,,\n",
        "# made by a program\n# on a day\n",
        "Report:,Sales,2024\n",
        "Report,Region,Year\nSales,North,2024\n\n",
        "Report,Sales\nDate,2024-01-01\n",
        '"A title, with a comma"\n',
        "\ufeffSales report 2024,,\n",
        "A title\nof\nseveral\nlines\n",
    ],
)
def test_lines_above_the_names_are_left_out_with_a_note(load: Load, above: str) -> None:
    loaded = load(above + ROWS)
    assert loaded.values == THREE
    assert "above the columns' names" in loaded.notes


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            '"Data Source","Some",\n\n"Updated","2024-01-01",\n\n"Name","Code","2022",\n"Aland","A","1.5",\n',
            ["Name", "Code", "2022"],
        ),
        ("Report;;\nname;wert;datum\na;1,5;01.02.2024\n", ["name", "wert", "datum"]),
        ("Contacts\nname,city,zip\nAnna,Paris,x\nBob,Rome,y\n", ["name", "city", "zip"]),
    ],
)
def test_the_names_of_other_tables_are_found_below_titles(load: Load, text: str, names: list[str]) -> None:
    assert list(load(text).values) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name,age,height\nBob,unknown,n/a\nA,1,2\nB,2,3\n", ["name", "age", "height"]),
        ("a,b,c,d\n1,,,\n2,,,\n3,,,\n4,1,2,3\n", ["a", "b", "c", "d"]),
        ("country,2020,2021\nA,1,2\nB,3,4\n", ["country", "2020", "2021"]),
        (",x\na,1.5\nb,2.5\n", ["column_1", "x"]),
        ("name,comment\nfoo,bar\nbaz,qux\n", ["name", "comment"]),
        ("<TICKER>,<PER>\nA,1\n", ["<TICKER>", "<PER>"]),
    ],
)
def test_a_plain_header_stays_the_header(load: Load, text: str, names: list[str]) -> None:
    assert list(load(text).values) == names


def test_a_row_of_units_is_left_out_with_a_note(load: Load) -> None:
    loaded = load("place,temp,speed\n,[°C],m/s\nA,1.5,3\nB,2.5,4\n")
    assert loaded.values == {"place": ["A", "B"], "temp": [1.5, 2.5], "speed": [3, 4]}
    assert "reads like units: '', '[°C]', 'm/s'" in loaded.notes
    assert load("time,speed\ns,m/s\n0,1\n", header=True).values["time"] == ["s", "0"]


def test_names_in_a_comment_are_names(load: Load) -> None:
    assert load("# made by x\n#id,v\n1,2\n").values == {"id": [1], "v": [2]}


def test_names_that_read_like_values_are_noted(load: Load) -> None:
    assert "Set `header` to false" in load("5.1,3.5,setosa\n4.9,3.0,setosa\n").notes
    assert load("0,1\n5,6\n").result.notes == []


@pytest.mark.parametrize(
    "below",
    [
        "\nSource: World Bank\n",
        "Source: World Bank,,\n",
        "Total,,7\n",
        "Total,6,7\n",
        "Summe:,6.0,7\n\nQuelle: Amt\n",
        "\n(2 rows)\n",
        "Total rows: 2\n",
        ",,\n,,\n,,\n",
        "\n* preliminary figures of the office\nLast updated: 2024-01-01\n",
    ],
)
def test_a_footer_is_left_out_with_a_note(load: Load, below: str) -> None:
    loaded = load(ROWS + below)
    assert loaded.values == THREE
    assert "like a footer" in loaded.notes


@pytest.mark.parametrize("below", ["Total,7,7\n", "3,,\n", "Total eclipse,1,2\n", ",,\n"])
def test_a_last_row_that_is_no_footer_is_kept(load: Load, below: str) -> None:
    assert load(ROWS + below).result.rows == 3


def test_a_total_that_is_no_sum_is_kept_and_noted(load: Load) -> None:
    assert "reads like a total, 'Total 7 7', and was kept" in load(ROWS + "Total,7,7\n").notes


@pytest.mark.parametrize("below", ["3", "3,4", "North"])
def test_a_file_that_was_cut_off_in_its_last_row_is_refused(load: Load, below: str) -> None:
    with pytest.raises(errors.BadDataError, match=r"Row 3 \(line 4\) has \d fields, but the header has 3"):
        load(ROWS + below)


def test_columns_without_a_name_and_a_value_are_left_out(load: Load) -> None:
    loaded = load('a,b,,,\n1,x,,,\n2,y\n3,"z\nz"\n4,w,,,\n')
    assert loaded.values == {"a": [1, 2, 3, 4], "b": ["x", "y", "z\nz", "w"]}
    assert "3 columns without a name and without a value were left out." in loaded.notes


def test_a_value_without_a_name_is_kept(load: Load) -> None:
    loaded = load("a,b,,\n1,x,,\n2,y\n3,z,,late\n")
    assert loaded.values == {"a": [1, 2, 3], "b": ["x", "y", "z"], "column_4": [None, None, "late"]}
    assert "named column_4" in loaded.notes
    assert "1 column without a name" in loaded.notes


def test_a_value_beyond_the_last_column_is_refused_and_shown(load: Load) -> None:
    assert load("a,b\n1,2,\n3,4\n").values == {"a": [1, 3], "b": [2, 4]}
    with pytest.raises(errors.BadDataError, match="here 'x' has no column"):
        load("a,b\n1,2\n3,4,x\n")


def test_a_table_with_row_names_of_r_gets_a_column_for_them(load: Load) -> None:
    assert load('"mpg","cyl"\n"Mazda",21,6\n"Fiat",32,4\n').values == {
        "column_1": ["Mazda", "Fiat"], "mpg": [21, 32], "cyl": [6, 4]
    }  # fmt: skip


@pytest.mark.parametrize("text", ["name,price\nA,1,5\nB,2,5\n", "x\n1,5\n2,5\n", "x,y\n1,5,7\n2,5,8\n3,5,9\n"])
def test_numbers_with_unquoted_decimal_commas_are_refused(load: Load, text: str) -> None:
    with pytest.raises(errors.BadDataError, match=r"has \d fields, but the header has"):
        load(text)


@pytest.mark.parametrize(
    ("text", "options", "stored"),
    [
        ("x\na,b\n1,2\n", {"header": 2}, {"a": [1], "b": [2]}),
        ("x,y\na,b\n1,2\n", {"skip_rows": 1}, {"a": [1], "b": [2]}),
        ("Title,\nid,amt\n1,2\n", {"header": True}, {"Title": ["id", "1"], "column_2": ["amt", "2"]}),
        ("1,2\n3,4\n", {"header": False}, {"column_1": [1, 3], "column_2": [2, 4]}),
        ("1,2\n3,4\n", {"header": False, "columns": ["p", "q"]}, {"p": [1, 3], "q": [2, 4]}),
        ("x\n1,2\n3,4\n", {"header": False, "skip_rows": 1}, {"column_1": [1, 3], "column_2": [2, 4]}),
        ("a,b\n1,2\n3\n5,6\n", {"short_rows": "fill"}, {"a": [1, 3, 5], "b": [2, None, 6]}),
        ("a,b\n1,2\n3\n5,6\n", {"short_rows": "skip"}, {"a": [1, 5], "b": [2, 6]}),
        ("a,b\n1,2\nTotal,2\n", {"skip_footer": 0}, {"a": ["1", "Total"], "b": [2, 2]}),
        ("a,b\n1,2\n3,4\nx,y\n", {"skip_footer": 1}, {"a": [1, 3], "b": [2, 4]}),
        ("%x\na,b\n% y\n1,2\n", {"comment": "%"}, {"a": [1], "b": [2]}),
        ('a|b\n1|x"y\n', {"quote": ""}, {"a": [1], "b": ['x"y']}),
        ("a,b\n1,~x,y~\n", {"quote": "~"}, {"a": [1], "b": ["x,y"]}),
        ("a,b\n1,x\\,y\n", {"escape": "\\"}, {"a": [1], "b": ["x,y"]}),
    ],
)
def test_options_say_how_a_file_is_laid_out(
    load: Load, text: str, options: dict[str, Any], stored: dict[str, list[Any]]
) -> None:
    assert load(text, **options).values == stored


def test_lines_with_a_hash_among_the_rows_are_left_out_with_a_count(load: Load) -> None:
    loaded = load("a,b\n#note\n1,2\n#x,3\n4,5\n")
    assert loaded.values == {"a": ["1", "#x", "4"], "b": [2, 3, 5]}
    assert "Lines that begin with '#' were left out (1)" in loaded.notes


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ('a,b\n1,"say \\"hi\\", ok"\n2,"C:\\new"\n', ['say "hi", ok', "C:\\new"]),
        ('a,b\n1,"say \\"hi\\""\n2,"C:\\\\new"\n', ['say "hi"', "C:\\new"]),
        ('a,b\n1,"{\\"k\\": \\"v\\"}"\n2,x\n', ['{"k": "v"}', "x"]),
        ('a,b\n1,"C:\\dir\\"\n2,"D:\\"\n', ["C:\\dir\\", "D:\\"]),
    ],
)
def test_quotes_that_are_escaped_with_a_backslash_are_read(load: Load, text: str, stored: list[str]) -> None:
    assert load(text).values["b"] == stored


@pytest.mark.parametrize("late", [0, 200_000])
def test_an_escaped_quote_far_below_is_read_too(load: Load, late: int) -> None:
    loaded = load("a,b\n" + "1,x\n" * late + '2,"say \\"hi\\", ok"\n')
    assert loaded.values["b"][-1] == 'say "hi", ok'
    assert "escaped with a backslash" in loaded.notes


def test_single_quotes_around_all_fields_are_no_part_of_them(load: Load) -> None:
    loaded = load("id,'n'\n'a,b','c'\n'd','it''s'\n")
    assert loaded.values == {"id": ["a,b", "d"], "n": ["c", "it's"]}
    assert "set `quote`" in loaded.notes
    assert load("a,b\n'tis,1\n'x',2\n'y',3\n").values["a"] == ["'tis", "'x'", "'y'"]


def test_a_row_of_a_rewritten_file_is_named_with_its_line(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match=r"Row 2 \(line 5\), column 'a': 'x' is not a valid integer"):
        load("a,b\n#note\n1,2\n\nx,3\n", types={"a": "integer"})


def test_remarks_in_other_columns_or_without_rows_above_are_rows(load: Load) -> None:
    assert load("a,b\n1,x\n,note of somebody else here\n").result.rows == 2
    assert load("a,b\nSource,\nTotal,\n").result.rows == 2
