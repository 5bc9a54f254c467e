"""Shadows from end to end: what a copy answers is predicted once more by a job, compared, and reported."""

import functools
import pathlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from shared import database
from shared.jobs import tables
from shared.prediction.contract import SHADOW
from shared.prediction.shadows import batches, waiting
from shared.prediction.tables import shadow_batches, shadow_sums
from sweeper.follow_aliases import FollowAliases
from sweeper.shadow_jobs import ShadowJobs
from sweeper.take_segments import TakeSegments
from tests.integration import worker
from tests.unit.prediction.online.conftest import Stage
from workers.prediction import loaded, tasks
from workers.prediction.online.plane import Plane
from workers.prediction.online.records import shadow_rings
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.records.segment_files import SegmentFiles
from workers.prediction.online.versions import Version

PATH = "/v1/deployments/shaded"


class Scene:
    """A deployment with a shadow, a copy that serves it, and the sweeper's chores."""

    def __init__(self, stage: Stage, folder: pathlib.Path) -> None:
        """Begin with nothing deployed."""
        self.stage = stage
        self.engines = database.of_process()["prediction"]
        self.recorder = Recorder()
        self.recorder.keep_in(SegmentFiles(folder, stage.objects))
        self.plane = Plane(self.recorder)
        self.take = TakeSegments(self.engines, stage.objects)
        self.jobs = ShadowJobs(self.engines, stage.objects)

    def deploy(self, *shadows: dict[str, Any], routes: Sequence[int] = (1,), **fields: Any) -> None:
        weights = [(f"greatness@{version}", 1) for version in routes]
        self.stage.deploy(*weights, name="shaded", shadow=list(shadows), **fields)
        found = self.stage.copy(by_library=True)[0].find("default", "shaded")
        assert found is not None
        self.target = found

    def ask(self, count: int, *, rows: int = 1, **more: Any) -> None:
        dice = random.Random(count)
        for _ in range(count):
            given: dict[str, list[Any]] = {name: [dice.uniform(-1, 1) for _ in range(rows)] for name in ("a", "b")}
            given["word"] = [dice.choice(["red", "green"]) for _ in range(rows)]
            given |= {name: [value] * rows for name, value in more.items()}
            self.plane.predict(self.target, given, rows_count=rows)

    def ship(self) -> None:
        """Let the copy tell, and the sweeper hear, as if all had waited long enough."""
        for ring in self.recorder.shadows._rings.values():
            ring.began = float("-inf")
        self.recorder.flush()
        self.take.do()
        with self.engines.transactions.begin() as connection:
            connection.execute(sa.update(shadow_batches).values(queued_at=0))

    def do(self) -> list[str]:
        """Do what waits; returns the jobs."""
        self.ship()
        self.jobs.do()
        job_ids = self.list_jobs()
        for job_id in job_ids:
            worker.perform({"id": job_id, "kind": SHADOW.name})
        return job_ids

    def list_jobs(self) -> list[str]:
        with self.engines.statements.connect() as connection:
            return waiting.list_jobs(connection)

    def report(self) -> list[dict[str, Any]]:
        response = self.stage.client.get(f"{PATH}/shadow")
        assert response.status_code == 200, response.get_data(as_text=True)
        shadows: list[dict[str, Any]] = response.get_json()["shadows"]
        return shadows

    def list_objects(self) -> list[str]:
        return [listed.key for listed in self.stage.objects.list(batches.FOLDER)]


@pytest.fixture
def scene(stage: Stage, tmp_path: pathlib.Path) -> Iterator[Scene]:
    """Yield a home, with nothing that waits or was said before."""
    made = Scene(stage, tmp_path / "segments")
    yield made
    made.recorder.close()
    made.take.do()
    with made.engines.transactions.begin() as connection:
        for table in (shadow_batches, shadow_sums):
            connection.execute(sa.delete(table))
    stage.objects.remove(*made.list_objects())


def test_what_is_asked_is_predicted_by_the_shadow_and_compared(scene: Scene) -> None:
    scene.deploy({"model": "greatness@2"})
    scene.ask(40)
    scene.ask(2, rows=30)
    [job] = scene.do()
    with scene.engines.statements.connect() as connection:
        row = connection.execute(sa.select(tables.jobs).where(tables.jobs.c.id == job)).one()
    assert (row.state, row.priority, row.result) == ("succeeded", -1, {"rows": 100, "failed_rows": 0})
    [shadow] = scene.report()
    assert (shadow["model"], shadow["rows"], shadow["failed_rows"], shadow["lost_rows"]) == ("greatness@2", 100, 0, 0)
    [pair] = shadow["answering"]
    assert pair["version"] == "greatness@1"
    assert sum(each["rows"] for each in pair["confusion"]) == 100
    same = sum(each["rows"] for each in pair["confusion"] if each["answered"] == each["shadow"])
    assert shadow["agreement"] == same / 100
    assert [each["column"] for each in pair["differences"]] == ["probability_no", "probability_yes"]
    assert all(each["rows"] == 100 and 0 < each["mean_size"] < 1 for each in pair["differences"])
    assert pair["latency"]["served"]["requests"] == 42
    for who in ("replayed_answering", "replayed_shadow"):
        assert 1 <= pair["latency"][who]["requests"] <= 10
    assert {each["value"] for each in shadow["worst_segments"]} == {"red", "green"}
    assert scene.list_objects() == []
    assert scene.do() == []


def test_a_copy_does_not_load_the_shadow(scene: Scene) -> None:
    scene.deploy({"model": "greatness@2"})
    serving, _ = scene.stage.copy()
    assert [version.pin.label for version in serving._loaded.values()] == ["greatness@1"]
    assert serving.is_complete


def test_each_shadow_gets_its_share_of_the_requests(scene: Scene) -> None:
    shares = {"greatness@1": 50, "greatness@2": 5}
    scene.deploy(*({"model": model, "percent": percent} for model, percent in shares.items()), routes=(1, 2))
    scene.ask(1000)
    scene.do()
    rows = {shadow["model"]: shadow["rows"] for shadow in scene.report()}
    assert 180 < rows["greatness@1"] < 320
    assert 5 < rows["greatness@2"] < 60


def test_what_the_shadow_answered_itself_is_not_compared(scene: Scene) -> None:
    scene.deploy({"model": "greatness@2"}, canary={"model": "greatness@2", "steps": [50, 100]}, sticky_key="id")
    for unit in range(40):
        scene.ask(1, id=unit)
    scene.do()
    [shadow] = scene.report()
    assert 5 < shadow["rows"] < 35
    assert [pair["version"] for pair in shadow["answering"]] == ["greatness@1"]


def test_nothing_is_gathered_for_a_shadow_that_has_taken_over(scene: Scene) -> None:
    scene.deploy({"model": "greatness@2"}, canary={"model": "greatness@2", "steps": [100]})
    assert (scene.target.shares, scene.target.shadows) == ({"greatness@2": 1.0}, ())
    scene.ask(3)
    scene.ship()
    assert scene.list_objects() == []


def test_what_a_shadow_cannot_predict_is_counted_with_the_reason_and_the_rest_is_compared(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Version.predict

    def fail(version: Version, given: Any, *, rows_count: int, asker: str | None = None) -> Any:
        if version.pin.version == 2 and "blue" in given["word"]:
            raise ZeroDivisionError
        return predict(version, given, rows_count=rows_count)

    monkeypatch.setattr(Version, "predict", fail)
    scene.deploy({"model": "greatness@2"})
    scene.ask(30)
    scene.ask(3, word="blue")
    scene.do()
    [shadow] = scene.report()
    assert (shadow["rows"], shadow["failed_rows"], shadow["failure_rate"]) == (30, 3, 3 / 33)
    assert shadow["failures"] == [{"reason": "ZeroDivisionError", "rows": 3}]


def test_a_shadow_that_cannot_be_loaded_is_a_failure_of_all_its_rows(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> None:
        raise MemoryError

    scene.deploy({"model": "greatness@2"})
    scene.ask(5)
    monkeypatch.setattr(tasks, "_open_loaded", functools.cache(loaded.open_loaded))
    monkeypatch.setattr(Version, "__init__", fail)
    scene.do()
    [shadow] = scene.report()
    assert (shadow["rows"], shadow["failures"]) == (0, [{"reason": "MemoryError", "rows": 5}])


@pytest.mark.parametrize(
    ("state", "attempt", "told"), [("failed", 1, "failures"), ("failed", 0, "losses"), ("cancelled", 1, "losses")]
)
def test_rows_of_a_job_that_ended_without_them_are_counted_and_the_next_waits_if_it_was_the_shadow(
    scene: Scene, state: str, attempt: int, told: str
) -> None:
    scene.deploy({"model": "greatness@2"})
    scene.ask(4)
    scene.ship()
    scene.jobs.do()
    [job] = scene.list_jobs()
    with scene.engines.transactions.begin() as connection:
        end = {"state": state, "attempt": attempt, "error_message": "It was too much."}
        connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job).values(**end))
    scene.ask(3)
    scene.ship()
    scene.jobs.do()
    [shadow] = scene.report()
    assert shadow[told] == [{"reason": f"its job is {state}: It was too much.", "rows": 4}]
    assert bool(scene.list_jobs()) == (told == "losses")
    scene.jobs._paused_until.clear()
    scene.do()
    assert scene.report()[0]["rows"] == 3
    assert scene.list_objects() == []


def test_one_job_at_a_time_takes_what_waits(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "JOB_ROWS", 5)
    scene.deploy({"model": "greatness@2"})
    for _ in range(3):
        scene.ask(2)
        scene.ship()
    scene.jobs.do()
    scene.jobs.do()
    assert len(scene.list_jobs()) == 1
    [first] = scene.do()
    [second] = scene.do()
    assert first != second
    assert scene.report()[0]["rows"] == 6


def test_what_finds_no_room_is_lost_and_counted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.deploy({"model": "greatness@2"})
    monkeypatch.setattr(shadow_rings, "MAX_ROWS", 10)
    scene.ask(13)
    scene.ask(1, unsayable=2**70)
    scene.ship()
    monkeypatch.setattr(waiting, "MOST_ROWS", 15)
    scene.ask(9)
    scene.do()
    monkeypatch.setattr(scene.stage.objects, "write", lambda _key: (_ for _ in ()).throw(OSError()))
    scene.ask(2)
    for ring in scene.recorder.shadows._rings.values():
        ring.began = float("-inf")
    with pytest.raises(OSError):  # noqa: PT011 - the segment can't be shipped either.
        scene.recorder.flush()
    monkeypatch.undo()
    scene.ship()
    [shadow] = scene.report()
    assert {loss["reason"]: loss["rows"] for loss in shadow["losses"]} == {
        "more waits for the shadow's jobs than they can do": 9,
        "the copy's ring was full": 4,
        "the object store was away": 2,
    }
    assert (shadow["rows"], shadow["lost_rows"]) == (10, 15)


def test_a_shadow_that_is_taken_away_or_changed_gets_nothing_more(scene: Scene) -> None:
    scene.deploy({"model": "greatness@2"})
    scene.ask(3)
    scene.deploy()
    scene.deploy({"model": "greatness@2"})
    scene.ask(2)
    scene.do()
    assert scene.report()[0]["rows"] == 2
    with scene.engines.statements.connect() as connection:
        lost = [row for row in connection.execute(sa.select(shadow_sums.c.sums)).scalars() if "lost" in row]
    assert lost == [{"lost": {"the shadow was changed meanwhile": 3}}]
    scene.ask(2)
    scene.ship()
    scene.deploy()
    assert scene.stage.client.get(f"{PATH}/shadow").status_code == 404
    scene.jobs.do()
    assert (scene.list_jobs(), scene.list_objects()) == ([], [])
    scene.ask(2)
    scene.recorder.flush()
    assert scene.list_objects() == []


def test_what_nobody_told_of_is_removed_from_the_store(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with scene.stage.objects.write(batches.key_of("01M00000000000000000000000-0000000007")) as file:
        file.write(b"{}")
    scene.jobs.do()
    assert len(scene.list_objects()) == 1
    monkeypatch.setattr("sweeper.shadow_jobs._ORPHANED_MS", -60_000)
    ShadowJobs(scene.engines, scene.stage.objects).do()
    assert scene.list_objects() == []


def test_shadows_are_in_the_ledger_and_follow_a_rollback(scene: Scene) -> None:
    client = scene.stage.client
    scene.deploy({"model": "greatness@2", "percent": 10, "segments": ["word"]})
    shown = client.get(PATH).get_json()
    [shadow] = shown["shadow"]
    assert {name: shadow[name] for name in ("model", "version", "percent", "segments", "id")} == {
        "model": "greatness@2",
        "version": 2,
        "percent": 10,
        "segments": ["word"],
        "id": shown["revision"],
    }
    scene.deploy({"model": "greatness@2", "percent": 20, "segments": ["word"]})
    assert client.get(PATH).get_json()["shadow"][0]["id"] == shown["revision"]
    scene.deploy()
    assert client.get(PATH).get_json()["shadow"] == []
    assert client.post(f"{PATH}/rollback", json={}).status_code == 200
    assert client.get(PATH).get_json()["shadow"][0]["percent"] == 20
    document = client.get(f"{PATH}/history?verify=true").get_json()
    assert document["verified"]["whole"]
    percents = [[each["percent"] for each in change["state"]["shadow"]] for change in document["changes"][:4]]
    assert percents == [[20], [], [20], [10]]
    assert client.delete("/v1/models/greatness/versions/2").status_code == 409


@pytest.mark.parametrize(
    ("shadow", "said"),
    [
        ([{"model": "greatness@1"}], "only version that answers"),
        ([{"model": "greatness@2"}, {"model": "greatness@2"}], "name each version once"),
        ([{"model": "greatness@2"}, {"model": "greatness@twin"}], "name each version once"),
        ([{"model": "nobody@1"}], "nobody"),
        ([{"model": "greatness@2", "percent": 0}], "greater than 0"),
    ],
)
def test_shadows_that_say_nothing_are_refused(scene: Scene, shadow: list[dict[str, Any]], said: str) -> None:
    # Which version is the latest depends on the tests that have used the stage before.
    twin = "/v1/models/greatness/aliases/twin"
    assert scene.stage.client.put(twin, json={"version": 2}).status_code == 200
    document = {"routes": [{"model": "greatness@1"}], "shadow": shadow}
    response = scene.stage.client.put(PATH, json=document)
    assert scene.stage.client.delete(twin).status_code < 300
    assert response.status_code == 422
    assert said in response.get_data(as_text=True)


def test_a_shadow_follows_its_alias(scene: Scene) -> None:
    client = scene.stage.client
    alias = "/v1/models/greatness/aliases/next"
    assert client.put(alias, json={"version": 2}).status_code == 200
    scene.deploy({"model": "greatness@next"}, routes=(1, 2))
    assert client.put(alias, json={"version": 1}).status_code == 200
    FollowAliases(database.of_process()).do()
    shown = client.get(PATH).get_json()
    assert [(shadow["model"], shadow["version"]) for shadow in shown["shadow"]] == [("greatness@next", 1)]
    assert shown["shadow"][0]["id"] < shown["revision"]
    scene.stage.chore.do()
    document = client.get(f"{PATH}/history?verify=true").get_json()
    assert (document["changes"][0]["action"], document["verified"]["whole"]) == ("alias_moved", True)
