"""What an exported folder makes of the rows that MLflow hands it."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared import errors
from workers.training.exports import mlflow_loader

pytestmark = pytest.mark.slow

SIGNATURE: dict[str, Any] = {"columns": [{"name": "when", "type": "timestamp"}]}
INSTANTS: list[tuple[Any, str]] = [
    ("1500-01-01T00:00:00Z", "1500-01-01T00:00:00"),
    ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999"),
    ("0001-01-01", "0001-01-01"),
    ("2026-01-01T02:00:00+02:00", "2026-01-01"),
    (datetime.date(1500, 1, 1), "1500-01-01"),
    (datetime.datetime(1500, 1, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2))), "1500-01-01"),
    (pd.Timestamp("2026-01-01", tz="Europe/Berlin"), "2025-12-31T23:00:00"),
    (np.datetime64("2300-01-01", "us"), "2300-01-01"),
    ("2026-01-01 02:00:00.123456 +02:00", "2026-01-01T00:00:00.123456"),
    (None, "NaT"),
    (pd.NA, "NaT"),
    (pd.NaT, "NaT"),
    (float("nan"), "NaT"),
]


@pytest.mark.parametrize(("given", "wanted"), INSTANTS, ids=str)
def test_a_date_of_any_year_and_form_becomes_an_instant(given: Any, wanted: str) -> None:
    made = mlflow_loader._to_frame(pd.DataFrame({"when": [given]}), SIGNATURE)["when"]
    assert f"{made.dtype}" == "datetime64[us, UTC]"
    np.testing.assert_array_equal(made.to_numpy(dtype="datetime64[us]"), np.array([wanted], dtype="datetime64[us]"))


def test_dates_of_several_forms_stand_in_one_column() -> None:
    given = pd.DataFrame({"when": ["1500-01-01", None, "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"]})
    made = mlflow_loader._to_frame(given, SIGNATURE)["when"].to_numpy(dtype="datetime64[us]")
    np.testing.assert_array_equal(
        made, np.array(["1500-01-01", "NaT", "2026-01-01", "2026-01-01"], dtype="datetime64[us]")
    )


NUMBERS_FOR_TIMES: list[Any] = [
    [1_711_846_800_000],
    [1_711_846_800],
    [1_500_000_000_000_000_000],
    [1_711_846_800_000.0, None],
    ["2026-01-01", 1_711_846_800_000],
    ["1711846800000"],
    ["1711846800"],
    ["now"],
    ["01/02/2026"],
    ["1.2.2026"],
    ["20260101"],
    ["2026"],
    [""],
    [True],
    [datetime.time(12)],
    [pd.Timedelta("1h")],
    pd.array([1_711_846_800_000, None], dtype="Int64"),
]


@pytest.mark.parametrize("given", NUMBERS_FOR_TIMES, ids=str)
@pytest.mark.parametrize("column_type", ["timestamp", "date"])
def test_what_is_not_plainly_a_time_is_refused_and_not_guessed_at(given: Any, column_type: str) -> None:
    signature: dict[str, Any] = {"columns": [{"name": "when", "type": column_type}]}
    with pytest.raises(
        errors.BadDataError, match=f"column 'when' was of type {column_type} in training, but holds .*ISO"
    ):
        mlflow_loader._to_frame(pd.DataFrame({"when": given}), signature)


@pytest.mark.parametrize("given", ["2026-02-30", "2026-01-01T25:00:00Z", "2026-13-01"])
def test_a_time_that_there_is_none_of_is_refused(given: str) -> None:
    with pytest.raises(errors.BadDataError, match="column 'when' holds a time that there is none of"):
        mlflow_loader._to_frame(pd.DataFrame({"when": [given]}), SIGNATURE)


CODES_THAT_ARE_NO_TEXT: list[Any] = [
    [1, 2],
    [1.0, None],
    ["A", 1],
    [True, "A"],
    [np.int64(1), "A"],
    [b"A"],
    [datetime.date(2026, 1, 1)],
    [["A"]],
    pd.Categorical([1, 2]),
    pd.array([1, None], dtype="Int64"),
]


@pytest.mark.parametrize("given", CODES_THAT_ARE_NO_TEXT, ids=str)
def test_codes_that_were_text_in_training_are_not_taken_as_numbers(given: Any) -> None:
    signature: dict[str, Any] = {"columns": [{"name": "code", "type": "string"}]}
    with pytest.raises(errors.BadDataError, match=r"column 'code' was of type string in training, but holds .*as text"):
        mlflow_loader._to_frame(pd.DataFrame({"code": given}), signature)


@pytest.mark.parametrize(
    "given",
    [["1", None], [np.str_("1"), float("nan")], pd.Categorical(["1", None]), pd.array(["1", None], dtype="string")],
    ids=str,
)
def test_texts_are_taken_as_they_are(given: Any) -> None:
    signature: dict[str, Any] = {"columns": [{"name": "code", "type": "string"}]}
    made = mlflow_loader._to_frame(pd.DataFrame({"code": given}), signature)
    assert made["code"].dtype == object
    assert made["code"].tolist()[0] == "1"
    assert pd.isna(made["code"].tolist()[1])


NO_NUMBERS: list[Any] = [
    pd.to_datetime(["2026-01-01"]),
    pd.to_timedelta(["1h"]),
    [datetime.date(2026, 1, 1), 1],
    [float("inf")],
    [1j],
]


@pytest.mark.parametrize("given", NO_NUMBERS, ids=str)
def test_what_is_no_number_is_not_taken_for_one(given: Any) -> None:
    signature: dict[str, Any] = {"columns": [{"name": "size", "type": "number"}]}
    with pytest.raises(errors.BadDataError, match="column 'size' was of type number in training, but holds"):
        mlflow_loader._to_frame(pd.DataFrame({"size": given}), signature)


def test_numbers_of_every_width_are_taken_and_missing_ones_stay_missing() -> None:
    signature: dict[str, Any] = {"columns": [{"name": "size", "type": "integer"}]}
    for given in ([1, None], [True, None], pd.array([1, None], dtype="Int64"), np.array([1, np.nan], np.float32)):
        made = mlflow_loader._to_frame(pd.DataFrame({"size": given}), signature)["size"]
        np.testing.assert_array_equal(pd.to_numeric(made).to_numpy(np.float64), [1.0, np.nan])


def test_a_column_that_is_there_twice_is_refused() -> None:
    given = pd.DataFrame([["2026-01-01", "2027-01-01"]], columns=["when", "when"])
    with pytest.raises(errors.BadDataError, match="column 'when' is there more than once"):
        mlflow_loader._to_frame(given, SIGNATURE)


@pytest.mark.parametrize("params", [{"output": "al"}, {"output": None}, {"threshold": 0.5}, {"output": "all", "x": 1}])
def test_parameters_that_there_are_none_of_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(errors.PermanentError, match="parameter"):
        mlflow_loader._read_output(params)


def test_the_parameter_says_what_is_returned() -> None:
    assert [mlflow_loader._read_output(params) for params in ({}, {"output": "prediction"}, {"output": "all"})] == [
        "prediction",
        "prediction",
        "all",
    ]
