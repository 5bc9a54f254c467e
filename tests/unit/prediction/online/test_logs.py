"""Logs from end to end: what a copy answers becomes files, and these become a dataset with what became true."""

import io
import pathlib
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from pyarrow import parquet

from api.intake import holdings
from api.reads import logs
from shared import database, errors
from shared.jobs import tables
from shared.prediction.contract import LOG, LOG_DATASET
from shared.prediction.logs import batches, waiting
from shared.prediction.records import segments
from shared.prediction.tables import feedback, prediction_log_batches, prediction_log_files, prediction_log_losses
from sweeper.prediction_logs import PredictionLogs
from sweeper.take_segments import TakeSegments
from tests.integration import sample_data, worker
from tests.unit.prediction.online.conftest import Stage
from workers.prediction.online.merging import Prediction
from workers.prediction.online.plane import Plane
from workers.prediction.online.records import log_rings
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.records.segment_files import SegmentFiles

PATH = "/v1/deployments/kept"
RED = {"a": 0.5, "b": -0.25, "word": "red"}
OF_ALL = ["predicted_at", "deployment", "revision", "version", "arm", "unit", "prediction_id", "row", "seconds"]


class Scene:
    """A deployment with a log, a copy that serves it, and the sweeper's chores."""

    def __init__(self, stage: Stage, folder: pathlib.Path) -> None:
        """Begin with nothing deployed."""
        self.stage = stage
        self.client = stage.client
        self.engines = database.of_process()["prediction"]
        self.recorder = Recorder()
        self.recorder.keep_in(SegmentFiles(folder, stage.objects))
        self.plane = Plane(self.recorder)
        self.take = TakeSegments(self.engines, stage.objects)
        self.chore = PredictionLogs(self.engines, stage.objects)

    def deploy(self, *routes: tuple[str, float], log: Any = None, **fields: Any) -> None:
        routes = routes or (("greatness@1", 1),)
        self.stage.deploy(*routes, name="kept", log={} if log is None else log, **fields)
        serving, _ = self.stage.copy(by_library=True)
        assert serving.manifest is not None
        self.recorder.take_keys(serving.manifest.signing_keys)
        found = serving.find("default", "kept")
        assert found is not None
        self.target = found

    def ask(self, *rows: dict[str, Any], **options: Any) -> Prediction:
        given = {name: [row.get(name) for row in rows] for name in rows[0]}
        return self.plane.predict(self.target, given, rows_count=len(rows), **options)

    def ship(self) -> None:
        """Let the copy tell, and the sweeper hear."""
        self.recorder.flush()
        self.take.do()

    def write(self) -> list[dict[str, Any]]:
        """Let what waits be written; returns the results of the jobs."""
        self.ship()
        before = self.list_jobs(LOG.name)
        self.chore.do()
        new = [job_id for job_id in self.list_jobs(LOG.name) if job_id not in before]
        for job_id in new:
            assert worker.perform({"id": job_id, "kind": LOG.name}) is None
        return [self.client.get(f"/v1/jobs/{job_id}").get_json()["result"] for job_id in new]

    def list_jobs(self, kind: str) -> list[str]:
        with self.engines.statements.connect() as connection:
            query = sa.select(tables.jobs.c.id).where(tables.jobs.c.kind == kind).order_by(tables.jobs.c.id)
            return list(connection.execute(query).scalars())

    def show(self, query: str = "") -> dict[str, Any]:
        response = self.client.get(f"{PATH}/log{query}")
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.get_json()
        return document

    def make(self, **order: Any) -> tuple[dict[str, Any], pd.DataFrame]:
        """Make a dataset; returns the job and the rows."""
        job = sample_data.done(self.client, self.client.post(f"{PATH}/log/dataset", json=order))
        made = job["result"]["dataset"]
        response = self.client.get(f"/v1/datasets/{made['name']}/versions/{made['version']}/content?format=parquet")
        return job, pd.read_parquet(io.BytesIO(response.get_data()))

    def read(self, document: dict[str, Any]) -> Any:
        """Read a file of the log as a table."""
        with self.engines.statements.connect() as connection:
            query = sa.select(prediction_log_files.c.key).where(prediction_log_files.c.id == document["id"])
            key = connection.execute(query).scalar_one()
        with self.stage.objects.open_read(key) as file:
            return parquet.read_table(io.BytesIO(file.read()))

    def list_objects(self) -> list[str]:
        return [listed.key for listed in self.stage.objects.list(batches.FOLDER)]


@pytest.fixture
def scene(stage: Stage, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Yield a home, with nothing that waits or was kept before."""
    monkeypatch.setattr(log_rings, "SECONDS", 0.0)
    for name in ("_LONGEST_MS", "_FIRST_MS", "_PAUSE_SECONDS"):
        monkeypatch.setattr(f"sweeper.prediction_logs.{name}", 0)
    made = Scene(stage, tmp_path / "segments")
    yield made
    made.recorder.close()
    made.plane.close()
    made.take.do()
    with made.engines.transactions.begin() as connection:
        for table in (prediction_log_batches, prediction_log_files, prediction_log_losses, feedback):
            connection.execute(sa.delete(table))
    stage.objects.remove(*made.list_objects())


def test_what_is_answered_becomes_a_typed_file_that_the_list_names(scene: Scene) -> None:
    scene.deploy()
    one = scene.ask({**RED, "customer": 7})
    several = scene.ask(*({**RED, "a": number} for number in range(70)))
    scene.ship()
    assert (scene.show()["waiting_rows"], scene.show()["files"]) == (71, [])
    assert scene.write() == [{"rows": 71, "files": 1, "lost_rows": 0}]
    assert (scene.list_objects(), scene.write()) == ([], [])
    shown = scene.show()
    assert (shown["waiting_rows"], shown["lost_rows"], shown["losses"]) == (0, 0, [])
    [file] = shown["files"]
    assert (file["rows"], file["versions"], file["first_revision"]) == (71, ["greatness@1"], scene.target.revision)
    table = scene.read(file)
    assert table.column_names == [column["name"] for column in file["columns"]]
    names = ["prediction", "probability_no", "probability_yes"]
    assert table.column_names == [*OF_ALL, "a", "b", "word", *names]
    kept = table.to_pandas()
    assert kept["prediction"].tolist() == one.values[0] + several.values[0]
    assert kept["probability_yes"].tolist() == one.values[2] + several.values[2]
    assert kept["a"].tolist() == [0.5, *range(70)]
    assert kept["row"].tolist() == [0, *range(70)]
    first, second = several.ids
    expected = [*one.ids, *(f"{first}.{row}" for row in range(64)), *(f"{second}.{row}" for row in range(6))]
    assert kept["prediction_id"].tolist() == expected
    assert kept["predicted_at"].is_monotonic_increasing
    assert set(kept["deployment"]) == {"kept"}
    assert set(kept["arm"]) == {"greatness@1"}
    assert (kept["seconds"] > 0).all()


def test_a_dataset_has_what_is_written_and_what_waits_with_what_became_true(scene: Scene) -> None:
    scene.deploy(sticky_key="customer")
    told = scene.ask(*({**RED, "customer": number} for number in range(3)))
    scene.write()
    waiting = scene.ask({**RED, "customer": 5})
    scene.ship()
    [text] = told.ids
    items = [
        {"prediction_id": f"{text}.1", "actual": "yes", "value": 2.5},
        {"prediction_id": waiting.ids[0], "actual": "no"},
    ]
    assert scene.client.post(f"{PATH}/feedback", json={"items": items}).get_json()["stored"] == 2
    job, rows = scene.make(name="labelled", with_feedback=True)
    assert (job["kind"], job["result"]["labelled_rows"], job["result"]["warnings"]) == (LOG_DATASET.name, 2, [])
    assert rows["feedback_actual"].tolist() == [None, "yes", None, "no"]
    assert rows["feedback_value"].fillna(0).tolist() == [0, 2.5, 0, 0]
    assert rows["feedback_at"].notna().tolist() == [False, True, False, True]
    with scene.engines.statements.connect() as connection:
        units = connection.execute(sa.select(feedback.c.unit).order_by(feedback.c.prediction)).scalars().all()
    assert set(units) == {rows["unit"][1], rows["unit"][3]}
    assert "customer" not in rows
    described = scene.client.get("/v1/datasets/labelled/versions/1").get_json()
    assert described["lineage"]["deployment"] == "kept"
    assert described["lineage"]["models"] == ["greatness@1"]
    _, plain = scene.make()
    assert list(plain.columns) == [name for name in rows.columns if not name.startswith("feedback")]
    assert len(plain) == 4


def test_a_dataset_may_be_of_a_time_alone(scene: Scene) -> None:
    scene.deploy()
    scene.ask(RED, RED)
    scene.write()
    with scene.engines.statements.connect() as connection:
        until = connection.execute(sa.select(prediction_log_files.c.until_at)).scalar_one() + 1
    between = pd.Timestamp(until, unit="ms", tz="UTC").isoformat()
    while pd.Timestamp.now("UTC").timestamp() * 1000 < until + 1:
        pass
    scene.ask(RED)
    scene.write()
    assert [len(scene.make(**order)[1]) for order in ({}, {"until": between}, {"since": between})] == [3, 2, 1]
    refused = scene.client.post(f"{PATH}/log/dataset", json={"until": "2001-01-01T00:00:00Z"}).get_json()
    assert worker.perform(refused) == "BadDataError"
    error = scene.client.get(f"/v1/jobs/{refused['id']}").get_json()["error"]
    assert "no predictions of this time" in error["message"]


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        ({"since": "yesterday"}, "#/since"),
        ({"since": "2026-01-02"}, "#/since"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "#"),
        ({"name": "Not a name"}, "#/name"),
        ({"more": 1}, "#/more"),
    ],
)
def test_orders_that_mean_nothing_are_refused(scene: Scene, order: dict[str, Any], pointer: str) -> None:
    scene.deploy()
    response = scene.client.post(f"{PATH}/log/dataset", json=order)
    assert response.status_code == 422
    assert response.get_json()["errors"][0]["pointer"] == pointer


def test_rows_of_each_version_say_so_and_a_chosen_version_has_no_arm(scene: Scene) -> None:
    scene.deploy(("greatness@1", 1), ("greatness@2", 1), sticky_key="customer")
    answered = scene.ask(*({**RED, "customer": number} for number in range(40)))
    assert len(set(answered.versions)) == 2
    scene.ask(RED, version=scene.target.versions[0])
    scene.write()
    _, rows = scene.make()
    assert sorted(rows["version"][:-1]) == sorted(answered.versions)
    by_row = dict(zip(rows["row"][:-1], rows["version"][:-1], strict=True))
    assert [by_row[row] for row in range(40)] == answered.versions
    chosen = rows[rows["arm"].isna()]
    assert chosen["version"].tolist() == [scene.target.versions[0].pin.label]
    assert rows["unit"].nunique() == 41


def test_what_is_sent_is_kept_with_the_type_that_holds_it(scene: Scene) -> None:
    scene.deploy(log={"columns": ["a", "word", "prediction", "version", "customer"]})
    scene.ask({**RED, "a": "0.5", "prediction": 3, "version": None, "customer": 7})
    scene.ask({**RED, "a": None, "prediction": "x", "version": 2.5, "customer": True})
    scene.write()
    _, rows = scene.make()
    inputs = rows[["a", "word", "input_prediction", "input_version", "customer"]]
    assert inputs.astype(object).where(inputs.notna(), None).to_numpy().tolist() == [
        [0.5, "red", "3", None, "7"],
        [None, "red", "x", "2.5", "true"],
    ]
    assert "b" not in rows


def test_without_a_log_nothing_is_kept_and_a_share_may_be(scene: Scene) -> None:
    scene.stage.deploy(("greatness@1", 1), name="kept")
    found = scene.stage.copy()[0].find("default", "kept")
    assert found is not None
    assert found.log is None
    scene.deploy(log={"percent": 0})
    assert scene.target.log is None
    assert scene.show()["log"]["percent"] == 0
    scene.ask(RED)
    assert (scene.write(), scene.recorder.log._rings) == ([], {})


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ({"exclude": ["wrod"]}, "wrod"),
        ({"exclude": ["a"], "columns": ["b"]}, "take one of"),
        ({"exclude": ["a", "a"]}, "named twice"),
        ({"percent": 101}, "less than or equal to 100"),
        ({"retention_days": 0}, "greater than or equal to 1"),
        ({"seconds": 1}, "seconds"),
    ],
)
def test_logs_that_mean_nothing_are_refused(scene: Scene, log: dict[str, Any], said: str) -> None:
    response = scene.client.put(PATH, json={"routes": [{"model": "greatness@1"}], "log": log})
    assert response.status_code == 422
    assert said in response.text


def test_the_log_is_in_the_ledger_and_follows_a_rollback(scene: Scene) -> None:
    scene.deploy(log={"exclude": ["word"], "percent": 10})
    shown = scene.client.get(PATH).get_json()["log"]
    assert shown == {"percent": 10, "columns": None, "exclude": ["word"], "retention_days": 30}
    revision = scene.client.get(PATH).get_json()["revision"]
    scene.deploy(log={"exclude": ["word"], "percent": 10})
    assert scene.client.get(PATH).get_json()["revision"] == revision
    scene.stage.deploy(("greatness@1", 1), name="kept")
    assert scene.client.get(PATH).get_json()["log"] is None
    assert scene.client.post(f"{PATH}/rollback", json={}).get_json()["log"] == shown


def test_a_batch_that_is_damaged_or_gone_is_counted_and_others_are_written(scene: Scene) -> None:
    scene.deploy()
    for count in (1, 2, 3):
        scene.ask(*[RED] * count)
        scene.ship()
    gone, damaged, _ = sorted(scene.list_objects())
    scene.stage.objects.remove(gone, damaged)
    with scene.stage.objects.write(damaged) as file:
        file.write(b"{}")
    # Another one has the form, and says what no copy says.
    strange = batches.key_of("01M00000000000000000000000-0000000001")
    content: Any = {"at_ms": 1, "seconds": 0.0, "versions": ["m@1"], "ids": [], "given": {}, "names": ["x"]}
    call = batches.write_call(**content, values=[[1, 2]], default=str)
    with scene.stage.objects.write(strange) as file:
        file.write(batches.write(deployment="kept", revision=1, inputs={}, outputs={}, calls=[call]))
    with scene.engines.transactions.begin() as connection:
        told = segments.LogBatch("default", "kept", strange.partition("/")[2].removesuffix(".json"), 2, 9, 1, 2)
        assert waiting.enqueue(connection, told)
    assert scene.write() == [{"rows": 3, "files": 1, "lost_rows": 5}]
    shown = scene.show()
    assert (shown["lost_rows"], shown["losses"]) == (5, [{"reason": "a batch is gone or damaged", "rows": 5}])
    with pytest.raises(errors.NotFoundError):
        logs.show(database.of_process(), "somebody-else", "kept", limit=10, cursor=None)


def test_files_are_paged_and_outlive_the_deployment_until_they_are_old(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.deploy(log={"retention_days": 2})
    for _ in range(3):
        scene.ask(RED)
        scene.write()
    page = scene.show("?limit=2")
    rest = scene.show(f"?limit=2&cursor={page['next_cursor']}")
    ids = [file["id"] for file in (*page["files"], *rest["files"])]
    assert (len(ids), ids, rest["next_cursor"]) == (3, sorted(ids, reverse=True), None)
    assert scene.client.delete(PATH).status_code == 204
    assert (len(scene.show()["files"]), scene.show()["log"]) == (3, None)
    assert len(scene.make()[1]) == 3
    usage = scene.client.get("/v1/storage/usage").get_json()["uses"]
    assert [use["objects"] for use in usage if use["kind"] == "prediction_log_file"] == [3]
    lines = holdings.collect(database.of_process(), tenant_id="default", grace_ms=0)
    held = [line["of"] for line in lines if "prediction_log_file" in line.get("of", "")]
    assert sorted(held) == sorted(f"prediction_log_file {identity}" for identity in ids)
    verified = sample_data.done(scene.client, scene.client.post("/v1/storage/verify", json={}))["result"]
    assert (verified["missing_count"], verified["damaged_count"]) == (0, 0)
    monkeypatch.setattr("shared.prediction.logs.files.DAY_MS", -1)
    scene.chore._tidy()
    assert scene.client.get(f"{PATH}/log").status_code == 404
    assert scene.client.post(f"{PATH}/log/dataset", json={}).status_code == 404
    usage = scene.client.get("/v1/storage/usage").get_json()["uses"]
    assert not any(use["kind"] == "prediction_log_file" for use in usage)
