"""An absent column is told with the names close to it, at a cost that no table can make large."""

import time

import pytest

from shared import column_names, errors


def test_a_column_that_is_there_is_not_missed() -> None:
    column_names.require(["a", "b"], present=["b", "a"])


def test_absent_columns_are_named_with_those_close_to_them_and_the_field_is_pointed_at() -> None:
    with pytest.raises(errors.BadDataError, match=r"^missing: column 'towm' \(did you mean 'town'\?\)$") as told:
        column_names.require(["a", "towm"], present=["a", "town"], pointer="#/params/target")
    assert told.value.pointer == "#/params/target"


def test_where_no_name_is_close_some_are_listed() -> None:
    told = column_names.describe_absent("zzz", present=[f"x{number}" for number in range(12)])
    assert told.endswith("'x9' and 2 more)")


def test_names_that_are_long_many_and_alike_are_not_all_compared() -> None:
    present = [f"{number}".ljust(100, "y") for number in range(1_000)]
    began = time.process_time()
    with pytest.raises(errors.BadDataError, match="missing: column 'z0y"):
        column_names.require([f"z{number}".ljust(99, "y") for number in range(20)], present=present)
    assert time.process_time() - began < 2, "all of them take ten times as long"
