"""A profile is exact for small columns, says what it estimates for large ones, and is JSON."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.unit.ingestion.conftest import Load
from workers.ingestion.formats import csv_arrow
from workers.tabular import sketches, table_writer

pytestmark = pytest.mark.slow

DATA = Path(os.environ.get("MILLRACE_TEST_DATA") or Path(__file__).resolve().parents[3].parent / "shared" / "data")


def test_numbers_have_exact_figures(load: Load) -> None:
    numbers = np.random.default_rng(3).normal(5, 2, 2000).round(3)
    profile = load("x,b\n" + "".join(f"{number},1\n" for number in numbers) + ",1\n").profile["x"]
    assert profile["count"] == 2000
    assert profile["nulls"] == 1
    assert profile["distinct"] == len(np.unique(numbers))
    assert (profile["min"], profile["max"]) == (numbers.min(), numbers.max())
    assert profile["mean"] == pytest.approx(numbers.mean())
    assert profile["std"] == pytest.approx(numbers.std(ddof=1))
    assert profile["quantiles"]["0.25"] == pytest.approx(np.quantile(numbers, 0.25))
    assert list(profile["quantiles"]) == ["0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"]
    assert profile["approximate"] == []


def test_moments_over_many_row_groups_are_those_of_the_whole(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(table_writer, "GROUP_BYTES", 1000)
    numbers = np.arange(10_000) * 1.5 + 1e6
    loaded = load("x,b\n" + "".join(f"{number},{number}\n" for number in numbers))
    assert loaded.profile["x"]["mean"] == pytest.approx(numbers.mean(), rel=1e-14)
    assert loaded.profile["x"]["std"] == pytest.approx(numbers.std(ddof=1), rel=1e-12)
    assert loaded.profile["x"]["distinct"] == 10_000


def test_top_values_come_with_their_counts(load: Load) -> None:
    profile = load("x,b\n" + "b,1\n" * 3 + "a,1\n" * 5 + "c,1\n" * 3 + ",1\n").profile["x"]
    assert profile["top"] == [{"value": "a", "count": 5}, {"value": "b", "count": 3}, {"value": "c", "count": 3}]
    assert (profile["min"], profile["max"], profile["distinct"]) == ("a", "c", 3)
    assert profile["mean"] is profile["std"] is profile["quantiles"] is None


def test_booleans_dates_and_times_are_json(load: Load) -> None:
    profile = load("b,d,t\ntrue,2026-01-01,2026-01-01T00:00:00Z\nfalse,2026-01-03,2026-01-03T00:00:00.5Z\n").profile
    assert profile["b"]["mean"] == 0.5
    assert profile["b"]["top"] == [{"value": True, "count": 1}, {"value": False, "count": 1}]
    assert (profile["d"]["min"], profile["d"]["quantiles"]["0.5"]) == ("2026-01-01", "2026-01-02")
    assert profile["t"]["max"] == "2026-01-03T00:00:00.500000Z"
    assert profile["t"]["top"][0]["value"] == "2026-01-01T00:00:00.000000Z"


def test_a_column_without_values_has_a_profile(load: Load) -> None:
    profile = load("x,b\n,1\n,1\n", types={"x": "number"}).profile["x"]
    assert (profile["count"], profile["nulls"], profile["distinct"], profile["top"]) == (0, 2, 0, [])
    assert profile["min"] is profile["mean"] is profile["quantiles"] is None


def test_extreme_numbers_stay_json(load: Load) -> None:
    loaded = load("x,b\n1e308,1\n-1e308,1\n1.7e308,1\n1.7e308,1\n")
    json.dumps(loaded.result.profile, allow_nan=False)
    assert loaded.profile["x"]["max"] == 1.7e308


def test_long_text_is_cut_in_the_profile_and_kept_in_the_data(load: Load) -> None:
    loaded = load("x,b\n" + "y" * 5000 + ",1\n")
    assert len(loaded.profile["x"]["top"][0]["value"]) == len(loaded.profile["x"]["max"]) == 100
    assert len(loaded.values["x"][0]) == 5000


def test_a_wide_table_has_a_profile_of_bounded_size(load: Load) -> None:
    names = [f"column {position}" for position in range(1500)]
    rows = "\n".join(",".join("x" * 90 + f"{position % 50}{row}" for position in range(1500)) for row in range(5))
    loaded = load(",".join(names) + "\n" + rows + "\n")
    assert len(loaded.result.profile) == 1500
    assert len(json.dumps(loaded.result.profile)) < 1500 * 1000


def test_large_columns_say_what_is_estimated(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_arrow, "BLOCK_BYTES", 32_768)
    monkeypatch.setattr(table_writer, "GROUP_BYTES", 50_000)
    monkeypatch.setattr(sketches, "MAX_HASHES", 1000)
    monkeypatch.setattr(sketches, "MAX_FREQUENT_VALUES", 100)
    monkeypatch.setattr(sketches, "SAMPLE_ROWS", 5000)
    rows = 20_000
    text = "".join(f"{row},id-{row},{'common' if row % 4 == 0 else row},{row % 2}\n" for row in range(rows))
    profile = load("number,id,mixed,few\n" + text).profile
    assert profile["number"]["approximate"] == ["distinct", "quantiles", "top"]
    assert profile["number"]["distinct"] == pytest.approx(rows, rel=0.15)
    assert profile["number"]["quantiles"]["0.5"] == pytest.approx(rows / 2, rel=0.1)
    assert (profile["number"]["min"], profile["number"]["max"]) == (0, rows - 1)
    assert profile["id"]["distinct"] == pytest.approx(rows, rel=0.15)
    assert profile["mixed"]["top"][0] == {"value": "common", "count": rows // 4}
    assert profile["few"]["approximate"] == ["quantiles"]
    assert profile["few"]["top"] == [{"value": 0, "count": rows // 2}, {"value": 1, "count": rows // 2}]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")
def test_telco_churn_is_typed_as_it_is_meant(load: Load) -> None:
    loaded = load((DATA / "telco_churn.csv").read_bytes())
    kinds = loaded.types
    assert loaded.result.rows == 7043
    assert {name for name, kind in kinds.items() if kind == "integer"} == {"SeniorCitizen", "tenure"}
    assert {name for name, kind in kinds.items() if kind == "number"} == {"MonthlyCharges", "TotalCharges"}
    assert [one["value"] for one in loaded.profile["Churn"]["top"]] == ["No", "Yes"]
    assert loaded.profile["TotalCharges"]["nulls"] == 11
    assert loaded.profile["customerID"]["distinct"] == 7043


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA}")
def test_california_housing_is_typed_as_it_is_meant(load: Load) -> None:
    loaded = load((DATA / "california_housing.csv").read_bytes())
    assert loaded.result.rows == 20640
    assert set(loaded.types.values()) <= {"number", "integer", "string"}
