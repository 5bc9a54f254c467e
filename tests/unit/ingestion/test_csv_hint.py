"""Excel's first line says the delimiter."""

import pytest

from shared import errors
from tests.unit.ingestion.conftest import Load


@pytest.mark.parametrize("line", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "\ufeffsep=;\n"])
@pytest.mark.parametrize("declared", [{}, {"delimiter": ";"}])
def test_excels_first_line_is_the_delimiter_and_no_header(load: Load, line: str, declared: dict[str, str]) -> None:
    loaded = load(f"{line}a;b\n1,5;2\n", **declared)
    assert loaded.values == {"a": [1.5], "b": [2]}
    assert ("The delimiter is ';' according to the first line, 'sep=;'." in loaded.notes) == (not declared)


def test_a_row_below_excels_first_line_is_named_with_its_line(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match=r"Row 2 \(line 4\) has 1 fields"):
        load("sep=;\na;b\n1;2\n3\n")


def test_a_first_line_like_excels_is_a_header_when_another_delimiter_is_declared(load: Load) -> None:
    assert load("sep=;\n1\n", delimiter=",").values == {"sep=;": [1]}
