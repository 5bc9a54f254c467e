"""A batch by several versions, in parts: who answers is the same however it is cut, and no part is predicted twice."""

import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn import linear_model

from shared import errors
from shared.objects.local import LocalStore
from shared.prediction import shares
from tests.unit.ml import tables
from workers.guard import Stop
from workers.prediction.batches import batch, parts, places, pool
from workers.prediction.batches.plan import Plan, PlannedVersion, Split
from workers.prediction.batches.predictor import Predictor
from workers.prediction.online.deployed import to_unit

pytestmark = pytest.mark.slow
UNITS: list[Any] = ["", "red", "customer-12345678", "Ærø", "日本語", "x" * 300, None]
PART_ROWS = 16


@pytest.mark.parametrize(
    "values",
    [
        pa.array(UNITS, pa.string()),
        pa.array([0, -7, 2**53 + 1, None], pa.int64()),
        pa.array([1.0, -0.5, 1e20, 1e-7, None], pa.float64()),
        pa.array([True, False, None], pa.bool_()),
        pa.array(UNITS * 3, pa.string()).slice(2, 9),
        pa.array([], pa.string()),
    ],
)
def test_a_column_has_the_places_of_its_values(values: pa.Array) -> None:
    expected = [shares.place_of(to_unit(value), seed="great") for value in values.to_pylist()]
    assert places.of_units(values, seed="great").tolist() == expected


def test_draws_depend_on_the_position_alone_and_are_even() -> None:
    drawn = places.by_chance(start=0, count=200_000, seed=2**63 + 5)
    cut = [places.by_chance(start=start, count=50_000, seed=2**63 + 5) for start in range(0, 200_000, 50_000)]
    assert (np.concatenate(cut) == drawn).all()
    assert abs((drawn < 5000).mean() - 0.5) < 0.005
    assert (drawn != places.by_chance(start=0, count=200_000, seed=6)).mean() > 0.99


def make_plan(folder: pathlib.Path, *, sticky_key: str | None = "town") -> Plan:
    """Plan with two versions that say the opposite of each other."""
    dataset = tables.mixed(folder / "d.parquet")
    versions = []
    for number, strength in enumerate((1.0, 1e-4)):
        home = folder / f"v{number}"
        home.mkdir(exist_ok=True)
        stored = tables.fit(dataset, home, linear_model.LogisticRegression(C=strength), target="bought")
        versions.append(
            PlannedVersion(
                path=str(stored.path),
                sha256=stored.sha256,
                label=f"m@{number + 1}",
                signature=stored.signature,
                problem=stored.problem,
            )
        )
    routes = [{"model": "m@1", "ranges": [[0, 4000]]}, {"model": "m@2", "ranges": [[4000, 10_000]]}]
    split = Split(name="great", routes=routes, sticky_key=sticky_key, seed=11)
    return Plan(dataset=str(dataset), versions=versions, split=split)


def open_parts(folder: pathlib.Path, plan: Plan, *, attempt: int) -> parts.Parts:
    """Open the parts of a job's attempt."""
    objects = LocalStore(folder / "objects")
    return parts.Parts(
        objects, folder="acme/prediction/job", attempt=attempt, mark=parts.mark(plan, part_rows=PART_ROWS)
    )


@pytest.mark.parametrize("sticky_key", ["town", None])
def test_each_row_is_answered_by_its_version_however_the_table_is_cut(
    tmp_path: pathlib.Path, sticky_key: str | None
) -> None:
    plan = make_plan(tmp_path, sticky_key=sticky_key)
    whole = batch.predict(plan, output_path=tmp_path / "whole")
    cut = batch.predict(
        plan, output_path=tmp_path / "cut", kept=open_parts(tmp_path, plan, attempt=1), part_rows=PART_ROWS
    )
    one, other = parquet.read_table(tmp_path / "whole"), parquet.read_table(tmp_path / "cut")
    assert one.column_names[-4:] == ["prediction", "probability_no", "probability_yes", "prediction_version"]
    assert other.drop_columns(["probability_no", "probability_yes"]).equals(
        one.drop_columns(["probability_no", "probability_yes"])
    )
    np.testing.assert_allclose(other["probability_yes"], one["probability_yes"], rtol=1e-12)
    assert whole.warnings == cut.warnings
    labels = one["prediction_version"].to_pylist()
    assert set(labels) == {"m@1", "m@2"}
    for number, version in enumerate(plan.versions):
        alone = Plan(dataset=plan.dataset, versions=[version])
        batch.predict(alone, output_path=tmp_path / "alone")
        single = parquet.read_table(tmp_path / "alone")
        rows = [row for row, label in enumerate(labels) if label == f"m@{number + 1}"]
        np.testing.assert_allclose(one["probability_yes"].take(rows), single["probability_yes"].take(rows), rtol=1e-12)


def test_another_attempt_repeats_no_part_that_is_kept(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(tmp_path)
    expected = batch.predict(plan, output_path=tmp_path / "whole")
    predict = Predictor.predict
    predicted: list[int] = []

    def dying(self: Predictor, rows: pa.RecordBatch, *, first: int) -> list[pa.Array]:
        if first >= 3 * PART_ROWS and -1 not in predicted:
            predicted.append(-1)
            raise Stop
        predicted.append(first)
        return predict(self, rows, first=first)

    monkeypatch.setattr(Predictor, "predict", dying)
    first = open_parts(tmp_path, plan, attempt=1)
    with pytest.raises(Stop):
        batch.predict(plan, output_path=tmp_path / "o", kept=first, part_rows=PART_ROWS)
    assert predicted == [0, 16, 32, -1]
    second = open_parts(tmp_path, plan, attempt=2)
    made = batch.predict(plan, output_path=tmp_path / "o", kept=second, part_rows=PART_ROWS)
    assert predicted == [0, 16, 32, -1, 48, 64]
    assert (made.rows, made.warnings) == (expected.rows, expected.warnings)
    one, other = parquet.read_table(tmp_path / "whole"), parquet.read_table(tmp_path / "o")
    assert other["prediction_version"].equals(one["prediction_version"])
    assert other["prediction"].equals(one["prediction"])
    assert len(second.keys) == 5


def test_parts_of_another_plan_are_not_taken(tmp_path: pathlib.Path) -> None:
    plan = make_plan(tmp_path)
    batch.predict(plan, output_path=tmp_path / "o", kept=open_parts(tmp_path, plan, attempt=1), part_rows=PART_ROWS)
    other = make_plan(tmp_path, sticky_key=None)
    assert open_parts(tmp_path, plan, attempt=2).find(0) is not None
    assert open_parts(tmp_path, other, attempt=2).find(0) is None


def test_processes_predict_what_this_one_would(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(tmp_path)
    expected = batch.predict(plan, output_path=tmp_path / "whole")
    monkeypatch.setattr(pool, "_ROWS_PER_PROCESS", 8)
    monkeypatch.setattr(Predictor, "predict", None)
    made = batch.predict(
        plan, output_path=tmp_path / "o", kept=open_parts(tmp_path, plan, attempt=1), part_rows=PART_ROWS, threads=2
    )
    assert (made.rows, made.warnings) == (expected.rows, expected.warnings)
    one, other = parquet.read_table(tmp_path / "whole"), parquet.read_table(tmp_path / "o")
    assert other["prediction"].equals(one["prediction"])
    np.testing.assert_allclose(other["probability_yes"], one["probability_yes"], rtol=1e-12)


def test_what_a_process_meets_is_the_error_of_the_job(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(tmp_path)
    kept = open_parts(tmp_path, plan, attempt=1)
    broken = Plan(
        dataset=plan.dataset,
        versions=[PlannedVersion(**{**vars(plan.versions[0]), "sha256": "0" * 64})],
        split=None,
    )
    with (
        pool.Pool(broken, kept, [0, 1], part_rows=PART_ROWS, processes=1) as processes,
        pytest.raises(errors.UnsafeArtifactError, match="SHA-256"),
    ):
        processes.wait(0)


def test_processes_are_bounded_by_processors_parts_and_rows() -> None:
    assert pool.count_processes(rows=10_000_000, parts=50, threads=1) == 0
    assert pool.count_processes(rows=100_000, parts=50, threads=8) == 0
    assert pool.count_processes(rows=10_000_000, parts=3, threads=8) == 3
