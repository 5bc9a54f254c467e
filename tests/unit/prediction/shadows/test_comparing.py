"""Comparing: labels, numbers and what is missing, by the version that answered each row."""

from typing import Any

from shared import contract
from shared.prediction.shadows import batches
from shared.prediction.shadows.batches import Call
from workers.prediction.online.versions import Answer
from workers.prediction.shadows import comparing


def call(names: list[str], values: list[list[Any]], *, versions: list[str], **given: list[Any]) -> Call:
    """Make a call as it comes out of a batch."""
    written = batches.write_call(
        draw=0.0, at_ms=1, seconds=0.1, versions=versions, given=given, names=names, values=values
    )
    [read] = batches.read(batches.write([written]))
    return read


def compare(each: Call, types: dict[str, contract.ColumnType], values: list[list[Any]], **options: Any) -> Any:
    columns = [contract.Column(name=name, type=type_) for name, type_ in types.items()]
    rows = [comparing.Row(each, row, row) for row in range(each.rows)]
    return comparing.compare(rows, Answer(columns, values), **options)


def test_numbers_are_subtracted_and_labels_that_are_numbers_are_not() -> None:
    asked = call(["prediction"], [[1.0, 2.0, None]], versions=["m@1"], city=["x", None, "x"])
    answer: dict[str, contract.ColumnType] = {"prediction": "number"}
    [sums] = compare(asked, answer, [[1.5, 1.0, 4.0]], problem="regression", segments=["city", "gone"]).values()
    described = sums["scores"]["prediction"]
    assert (described["count"], described["total"], described["absolute"], described["greatest"]) == (2, -0.5, 1.5, 1.0)
    assert "agreeing" not in sums
    assert sums["segments"]["city"]["x"] == {"rows": 2, "compared": 0, "agreeing": 0, "distance": 0.5}
    assert sums["segments"]["city"]["(missing)"]["distance"] == 1.0
    assert "gone" not in sums["segments"]
    [labels] = compare(asked, answer, [[1.0, 1.0, 4.0]], problem="classification", segments=[]).values()
    assert (labels["agreeing"], labels["scores"]) == (1, {})
    assert labels["confusion"] == {"1": {"1": 1}, "2": {"1": 1}, "(missing)": {"4": 1}}


def test_rows_are_compared_with_the_version_that_answered_each() -> None:
    names = ["prediction", "probability_no", "probability_yes"]
    values: list[list[Any]] = [["no", "yes"], [0.9, 0.2], [0.1, 0.8]]
    asked = call(names, values, versions=["m@1", "m@2"], flag=[True, False])
    types: dict[str, contract.ColumnType] = {"prediction": "string", **dict.fromkeys(names[1:], "number")}
    found = compare(asked, types, [["no", "no"], [0.8, 0.6], [0.2, 0.4]], problem="classification", segments=["flag"])
    assert {label: (sums["rows"], sums["agreeing"]) for label, sums in found.items()} == {"m@1": (1, 1), "m@2": (1, 0)}
    assert round(found["m@2"]["segments"]["flag"]["false"]["distance"], 9) == 0.4
