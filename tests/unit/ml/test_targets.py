"""Targets are numbers or labels, and rows without one are told apart."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared import contract, errors
from shared.ml import targets
from tests.unit.ml import tables


def read(folder: Path, kind: contract.ColumnType, values: list[Any], problem: str) -> tuple[list[Any], list[bool]]:
    """Store a target and read it again."""
    path = tables.write(folder / "d.parquet", {"y": kind}, y=values)
    known_values, known = targets.read_target(path, target="y", problem=problem)
    return known_values.tolist(), known.tolist()


@pytest.mark.parametrize(
    ("kind", "values", "labels"),
    [
        ("string", ["b", None, "a"], ["b", "a"]),
        ("integer", [1, None, 0], [1, 0]),
        ("boolean", [True, None, False], [True, False]),
        ("number", [1.0, None, 0.0], [1, 0]),
        ("number", [1.0, np.nan, 0.0], [1, 0]),
    ],
)
def test_labels_keep_their_type(
    tmp_path: Path, kind: contract.ColumnType, values: list[Any], labels: list[Any]
) -> None:
    read_labels, known = read(tmp_path, kind, values, "classification")
    assert read_labels == labels
    assert [type(label) for label in read_labels] == [type(label) for label in labels]
    assert known == [True, False, True]


def test_large_whole_numbers_stay_exact_labels(tmp_path: Path) -> None:
    assert read(tmp_path, "integer", [2**53 + 1, None], "classification") == ([2**53 + 1], [True, False])


@pytest.mark.parametrize(
    ("kind", "values"), [("integer", [1, None]), ("boolean", [True, None]), ("number", [1.0, None])]
)
def test_regression_learns_numbers(tmp_path: Path, kind: contract.ColumnType, values: list[Any]) -> None:
    assert read(tmp_path, kind, values, "regression") == ([1.0], [True, False])


@pytest.mark.parametrize(
    ("kind", "values", "problem", "message"),
    [
        ("number", [0.5, 1.0], "classification", "holds the number 0.5 in row .; use regression"),
        ("number", [np.inf, 1.0], "classification", "holds the number inf"),
        ("number", [np.inf, 1.0], "regression", "holds an infinite number"),
        ("string", ["a", "b"], "regression", "'y' is of type string"),
        ("date", [None, None], "classification", "'y' is a date"),
    ],
)
def test_a_target_that_does_not_suit_the_problem_is_refused(
    tmp_path: Path, kind: contract.ColumnType, values: list[Any], problem: str, message: str
) -> None:
    with pytest.raises(errors.BadDataError, match=message):
        read(tmp_path, kind, values, problem)


def test_an_absent_target_is_named(tmp_path: Path) -> None:
    path = tables.write(tmp_path / "d.parquet", {"churn": "string"}, churn=["a"])
    with pytest.raises(errors.BadDataError, match=r"column 'Churn'.*did you mean 'churn'"):
        targets.read_target(path, target="Churn", problem="classification")


@pytest.mark.parametrize(
    ("classes", "kind"), [([True, False], "boolean"), ([0, 1], "integer"), (["a", "b"], "string"), ([0, "a"], "string")]
)
def test_labels_fit_a_column_type(classes: list[targets.Label], kind: str) -> None:
    assert targets.label_type(classes) == kind


def test_booleans_are_written_in_lower_case() -> None:
    assert [targets.format_label(label) for label in (True, False, 3, "Yes")] == ["true", "false", "3", "Yes"]


def test_classes_become_plain_values() -> None:
    plain = targets.to_json(np.array([1, 2]))
    assert plain == [1, 2]
    assert type(plain[0]) is int
    assert targets.to_json(np.array(["a", np.str_("b")], dtype=object)) == ["a", "b"]


def labels_of(values: list[str | None], **given: Any) -> tuple[list[list[int]], list[bool], list[str]]:
    """Read a text that lists labels."""
    table = pa.table({"tags": pa.array(values, pa.string())})
    read, known, labels = targets.to_label_sets(table, columns=["tags"], separator=";", **given)
    return read.tolist(), known.tolist(), labels


def test_a_text_that_lists_labels_gives_a_column_for_each() -> None:
    read, known, labels = labels_of(["b; a", None, "a;a;", "", "c"])
    assert labels == ["a", "b", "c"]
    assert known == [True] * 5
    assert read == [[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("values", [[None, None], ["", None], [" ; ", ""]])
def test_without_any_label_no_row_is_known(values: list[str | None]) -> None:
    assert labels_of(values) == ([], [False] * 2, [])


def test_rows_without_any_label_are_told_of() -> None:
    table = pa.table({"tags": pa.array(["a", None, "", "a;b"])})
    read, _, _ = targets.to_label_sets(table, columns=["tags"], separator=";")
    assert targets.describe_unlabelled(read, name="tags") == [
        "2 of 4 rows have no label: their 'tags' is empty or missing"
    ]
    assert targets.describe_unlabelled(read[[0, 3]], name="tags") == []


def test_labels_that_a_model_knows_keep_their_order_and_others_are_refused() -> None:
    assert labels_of(["a", "b"], labels=["b", "z", "a"])[0] == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(errors.BadDataError, match="lists 'c', which the model never saw"):
        labels_of(["a;c"], labels=["a", "b"])
    assert labels_of([None], labels=["a", "b"])[0] == []


def test_too_many_labels_are_refused() -> None:
    with pytest.raises(errors.BadDataError, match="201 different labels; at most 200"):
        labels_of([";".join(f"t{n}" for n in range(201))])


def test_columns_of_labels_are_known_where_all_are() -> None:
    table = pa.table({"a": [1, 0, None, 1], "b": pa.array([True, None, True, False]), "c": [0.0, 1.0, 1.0, 1.0]})
    read, known, labels = targets.to_label_sets(table, columns=["b", "a", "c"], separator=None)
    assert labels == ["b", "a", "c"]
    assert known.tolist() == [True, False, False, True]
    assert read.tolist() == [[1, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    ("values", "told"),
    [([0, 2], "'a' must hold 0 and 1 or booleans, but holds 2"), (["x", "y"], "but is of type string")],
)
def test_a_column_of_labels_that_holds_something_else_is_refused(values: list[Any], told: str) -> None:
    with pytest.raises(errors.BadDataError, match=told):
        targets.to_label_sets(pa.table({"a": values, "b": [0, 1]}), columns=["a", "b"], separator=None)
    with pytest.raises(errors.BadDataError, match=told):
        targets.to_target(pa.array(values), name="a", problem="anomaly")


@pytest.mark.parametrize(
    "values",
    [
        np.array(["b", "ä", "", "b", "Z"], dtype=object),
        np.array([3, -1, 3, 2**40]),
        np.array([True, False, True]),
        np.array([False]),
    ],
    ids=["text", "integers", "booleans", "one row"],
)
def test_labels_are_numbered_as_numpy_numbers_them(values: targets.Values) -> None:
    labels, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    encoded = targets.encode(values)
    assert encoded.labels.dtype == labels.dtype
    assert encoded.labels.tolist() == labels.tolist()
    assert encoded.codes.tolist() == codes.tolist()
    assert encoded.counts.tolist() == counts.tolist()
    assert encoded.rarest == (targets.format_label(labels[counts.argmin()]), counts.min())
