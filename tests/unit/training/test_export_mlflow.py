"""What an exported folder makes of the rows that MLflow hands it."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

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
    (1_500_000_000_000_000_000, "2017-07-14T02:40:00"),
    (None, "NaT"),
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
