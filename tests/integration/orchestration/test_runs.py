"""Runs of pipelines: each step is submitted exactly once, whatever dies, and with the rights of the run's owner."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from api.intake import keys
from shared import database, ids
from shared.jobs import tables
from shared.orchestration import runs
from shared.orchestration.contract import WIND_UP
from shared.orchestration.tables import run_steps
from tests.integration import worker
from tests.integration.steps import client_of, down, parts_of, problem_of
from workers.orchestration import api_client, looking

Client = flask.testing.FlaskClient
PATH = "/v1/pipelines/nightly"
ROLE = "orchestration"
PINGS: dict[str, Any] = {
    "steps": [
        {"name": "first", "kind": "ingestion.ping"},
        {"name": "many", "kind": "processing.ping", "needs": ["first"], "for_each": ["a", "b", "c"]},
        {"name": "last", "kind": "training.ping", "needs": ["many"]},
    ]
}


class KilledError(BaseException):
    """Stands for the end of a worker's process: nothing more is written."""


class Bridge:
    """Lets the worker's client ask the API of this process; `interrupt` is called before and after each request."""

    def __init__(self, app: flask.Flask) -> None:
        self._client = app.test_client()
        self.asked: list[tuple[str, str]] = []
        self.interrupt: Callable[[str, str, str], None] = lambda _when, _method, _path: None

    def send(
        self, _: api_client.Client, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, int, bytes]:
        self.interrupt("before", method, path)
        response = self._client.open(path, method=method, data=body, headers=headers)
        self.asked.append((method, path))
        self.interrupt("after", method, path)
        return response.status_code, 1, response.data


@pytest.fixture
def bridge(app: flask.Flask, monkeypatch: pytest.MonkeyPatch) -> Bridge:
    """Return what connects the worker with the API; all jobs of a run are looked at in each turn."""
    made = Bridge(app)
    monkeypatch.setattr(api_client.Client, "_send", lambda *given: made.send(*given))
    monkeypatch.setattr(looking, "_LOOK_AGAIN_MS", -1_000_000)
    config = parts_of(app).config
    keys.Keys(database.of_process()).keep_in_file(config.service_path(), "orchestration", scopes=["service"])
    return made


def put(client: Client, pipeline: dict[str, Any] = PINGS) -> None:
    assert client.put(PATH, json=pipeline).status_code in (200, 201)


def begin(client: Client, **body: Any) -> str:
    response = client.post(f"{PATH}/runs", json=body)
    assert response.status_code == 202, response.text
    assert response.headers["Location"] == f"{PATH}/runs/{response.get_json()['id']}"
    return str(response.get_json()["id"])


def show(client: Client, run_id: str) -> dict[str, Any]:
    response = client.get(f"{PATH}/runs/{run_id}")
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.get_json()
    return document


def states(run: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in run["steps"]}


def refuse(_when: str, _method: str, _path: str) -> None:
    raise ConnectionRefusedError


def make_ready(job_id: str) -> None:
    """Wake a job, as an event or the end of its rest would."""
    with database.of_process()[ROLE].statements.begin() as connection:
        connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(run_after=0))


def turn(job_id: str, kind: str = "orchestration.run") -> str | None:
    make_ready(job_id)
    return worker.perform({"id": job_id, "kind": kind})


def kill_turn(job_id: str) -> None:
    """Let a worker be killed in the middle of a turn, and its lease run out."""
    make_ready(job_id)
    with pytest.raises(KilledError):
        worker.perform({"id": job_id, "kind": "orchestration.run"})
    with database.of_process()[ROLE].statements.begin() as connection:
        freed = {"state": "queued", "lease_owner": None, "lease_until": None}
        connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(freed))


def list_jobs(story: str) -> list[dict[str, Any]]:
    """List the jobs of a story in all roles but this one, the oldest first."""
    found: list[dict[str, Any]] = []
    for role in ("ingestion", "processing", "training", "evaluation"):
        with database.of_process()[role].statements.connect() as connection:
            rows = connection.execute(sa.select(tables.jobs).where(tables.jobs.c.idempotency_key.startswith(story)))
            found += [{**row._mapping} for row in rows]
    return sorted(found, key=lambda job: ids.ulid_of(job["id"]))


def do_jobs(story: str) -> None:
    """Do what is queued."""
    for job in list_jobs(story):
        if job["state"] == "queued":
            worker.perform(job)


def carry_out(client: Client, run_id: str, *, turns: int = 12) -> dict[str, Any]:
    """Take turns, and do the jobs in between, until the run has ended."""
    for _ in range(turns):
        turn(run_id)
        document = show(client, run_id)
        if document["finished_at"]:
            return document
        do_jobs(run_id)
    raise AssertionError(document)


def test_a_run_does_its_steps_in_order_and_each_once(client: Client, bridge: Bridge) -> None:
    put(client)
    run_id = begin(client)
    queued = show(client, run_id)
    assert (queued["state"], queued["steps"], queued["version"]) == ("queued", [], None)
    turn(run_id)
    began = show(client, run_id)
    assert (began["state"], states(began)) == ("running", {"first": "running", "many": "waiting", "last": "waiting"})
    assert began["steps"][1]["waiting_for"]["kind"] == "needs"
    assert "first (running)" in began["steps"][1]["waiting_for"]["detail"]
    [first] = list_jobs(run_id)
    assert began["steps"][0]["job_id"] == first["id"]
    done = carry_out(client, run_id)
    assert (done["state"], states(done)) == ("succeeded", dict.fromkeys(("first", "many", "last"), "succeeded"))
    assert done["steps"][1]["items"] == {"succeeded": 3}
    assert [item["index"] for item in done["steps"][1]["shown"]] == [0, 1, 2]
    assert done["outputs"] == {"first": {"attempt": 1}, "last": {"attempt": 1}}
    assert [job["kind"] for job in list_jobs(run_id)] == ["ingestion.ping", *["processing.ping"] * 3, "training.ping"]
    # Items are sent together.
    assert [path for method, path in bridge.asked if method == "POST"] == ["/v1/jobs/batch"] * 3
    job = client.get(f"/v1/jobs/{run_id}").get_json()
    assert (job["state"], job["result"]["steps"]["many"]) == ("succeeded", {"state": "succeeded", "items": 3})


def test_a_run_is_listed_with_its_pipeline(client: Client, bridge: Bridge) -> None:
    put(client)
    assert client.put("/v1/pipelines/other", json=PINGS).status_code == 201
    made = [begin(client) for _ in range(3)]
    client.post("/v1/pipelines/other/runs", json={})
    client.post(f"{PATH}/runs/{made[0]}/cancel")
    page = client.get(f"{PATH}/runs?limit=2").get_json()
    rest = client.get(f"{PATH}/runs?limit=2&cursor={page['next_cursor']}").get_json()
    assert [run["id"] for run in (*page["runs"], *rest["runs"])] == made[::-1]
    assert [run["id"] for run in client.get(f"{PATH}/runs?state=cancelled").get_json()["runs"]] == [made[0]]
    problem_of(client.get(f"/v1/pipelines/other/runs/{made[0]}"), 404)


def test_a_run_has_tags_and_a_deadline_and_its_steps_its_priority(client: Client, bridge: Bridge) -> None:
    put(client)
    query = "tags=nightly,from ci&priority=7&deadline_seconds=600"
    run_id = client.post(f"{PATH}/runs?{query}", json={}).get_json()["id"]
    turn(run_id)
    job = client.get(f"/v1/jobs/{run_id}").get_json()
    assert (job["tags"], job["priority"]) == (["nightly", "from ci"], 7)
    assert job["deadline_at"] is not None
    assert [job["priority"] for job in list_jobs(run_id)] == [7]


def test_a_run_belongs_to_the_story_that_began_it(client: Client, bridge: Bridge) -> None:
    put(client)
    story = client.post(f"{PATH}/runs", json={}, headers={"Millrace-Correlation-Id": "story-7"})
    run_id = story.get_json()["id"]
    turn(run_id)
    assert show(client, run_id)["correlation_id"] == "story-7"
    assert [job["correlation_id"] for job in list_jobs(run_id)] == ["story-7"]


def test_the_same_request_begins_one_run(client: Client, bridge: Bridge) -> None:
    put(client)
    headers = {"Idempotency-Key": '"tonight"'}
    first, second = (client.post(f"{PATH}/runs", json={}, headers=headers).get_json()["id"] for _ in range(2))
    assert first == second
    problem_of(client.post(f"{PATH}/runs", json={"version": 1}, headers=headers), 422)


@pytest.mark.parametrize("request_number", range(6))
@pytest.mark.parametrize("when", ["before", "after"])
def test_whenever_the_worker_is_killed_each_step_is_submitted_once(
    client: Client, bridge: Bridge, when: str, request_number: int
) -> None:
    put(client)
    run_id = begin(client)
    asked = 0

    def kill(moment: str, _method: str, _path: str) -> None:
        nonlocal asked
        if moment == when:
            asked += 1
            if asked == request_number + 1:
                raise KilledError

    bridge.interrupt = kill
    while asked <= request_number:
        make_ready(run_id)
        try:
            worker.perform({"id": run_id, "kind": "orchestration.run"})
        except KilledError:
            with database.of_process()[ROLE].statements.begin() as connection:
                freed = {"state": "queued", "lease_owner": None, "lease_until": None}
                connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == run_id).values(freed))
        do_jobs(run_id)
    done = carry_out(client, run_id)
    assert done["state"] == "succeeded"
    assert [job["kind"] for job in list_jobs(run_id)] == ["ingestion.ping", *["processing.ping"] * 3, "training.ping"]


def test_what_was_decided_before_a_kill_is_not_decided_again(client: Client, bridge: Bridge) -> None:
    """A step that was sent and not noted is known of, also when a failure meanwhile would leave it out."""
    put(
        client,
        {
            "steps": [
                {"name": "a", "kind": "ingestion.ping"},
                {"name": "b", "kind": "training.ping", "needs": ["a"]},
                {"name": "c", "kind": "processing.ping", "timeout_seconds": 60},
            ]
        },
    )
    run_id = begin(client)
    turn(run_id)
    [a] = [job for job in list_jobs(run_id) if job["kind"] == "ingestion.ping"]
    [c] = [job for job in list_jobs(run_id) if job["kind"] == "processing.ping"]
    assert c["deadline_at"] is not None
    worker.perform(a)

    def kill(moment: str, method: str, _path: str) -> None:
        if (moment, method) == ("after", "POST"):
            raise KilledError

    bridge.interrupt = kill
    kill_turn(run_id)
    bridge.interrupt = lambda *_: None
    assert worker.perform(c, body=worker.fail) == "ValueError"
    turn(run_id)
    assert states(show(client, run_id)) == {"a": "succeeded", "b": "running", "c": "failed"}
    do_jobs(run_id)
    assert turn(run_id) == "StepFailedError"
    done = show(client, run_id)
    assert (done["state"], states(done)["b"]) == ("failed", "succeeded")
    assert done["error"]["message"].startswith("c failed")
    assert len(list_jobs(run_id)) == 3


def test_a_worker_that_was_cut_off_writes_nothing(client: Client, bridge: Bridge) -> None:
    put(client)
    run_id = begin(client)

    def take_away(moment: str, method: str, _path: str) -> None:
        if (moment, method) == ("before", "POST"):
            with database.of_process()[ROLE].statements.begin() as connection:
                later = {"attempt": tables.jobs.c.attempt + 1}
                connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == run_id).values(later))

    bridge.interrupt = take_away
    turn(run_id)
    with database.of_process()[ROLE].statements.connect() as connection:
        [row] = connection.execute(sa.select(run_steps).where(run_steps.c.step == "first")).all()
    assert (row.state, row.step_job_id, row.submission["kind"]) == ("running", None, "ingestion.ping")


def test_what_the_api_refuses_fails_its_step_alone_with_the_reason(client: Client, bridge: Bridge) -> None:
    put(
        client,
        {
            "params": {"names": ["good", "bad", "fine"]},
            "steps": [
                {
                    "name": "score",
                    "kind": "evaluation.score",
                    "for_each": "${params.names}",
                    "params": {"model": "${item}@1", "dataset": "none@1"},
                    "on_failure": "continue",
                },
                {"name": "ping", "kind": "training.ping", "for_each": [1, 2, 3]},
            ],
        },
    )
    run_id = begin(client)
    done = carry_out(client, run_id)
    assert (done["state"], states(done)) == ("succeeded", {"score": "failed", "ping": "succeeded"})
    errors = [item["error"] for item in done["steps"][0]["shown"]]
    assert len(errors) == 3
    assert all("There is no model '" in error or "@1" in error for error in errors), errors


@pytest.mark.parametrize("fault", ["unreachable", "429", "503", "no key"])
def test_an_api_that_is_away_is_waited_for(
    app: flask.Flask, client: Client, bridge: Bridge, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    put(client)
    run_id = begin(client)
    path = parts_of(app).config.service_path()
    key = path.read_text()
    with monkeypatch.context() as patch:
        if fault == "unreachable":
            bridge.interrupt = refuse
        elif fault == "no key":
            path.unlink()
        else:
            problem = b'{"detail": "slow down"}'
            patch.setattr(api_client.Client, "_send", lambda *_: (int(fault), 7, problem))
        assert turn(run_id) is None
    waiting = show(client, run_id)
    assert waiting["waiting_for"]["kind"] == "api"
    assert states(waiting)["first"] == "running"
    bridge.interrupt = lambda *_: None
    path.write_text(key)
    done = carry_out(client, run_id)
    assert (done["state"], done["waiting_for"]) == ("succeeded", None)
    assert len(list_jobs(run_id)) == 5


def test_a_step_is_tried_again_and_then_fails_the_run(client: Client, bridge: Bridge) -> None:
    put(client, {"steps": [{"name": "a", "kind": "training.ping", "retries": {"count": 1, "wait_seconds": 0}}]})
    run_id = begin(client)
    for attempt in (1, 2):
        turn(run_id)
        assert show(client, run_id)["steps"][0]["attempt"] == attempt
        worker.perform(list_jobs(run_id)[-1], body=worker.fail)
    assert turn(run_id) == "StepFailedError"
    assert [job["idempotency_key"][-2:] for job in list_jobs(run_id)] == [":1", ":2"]


def test_a_run_acts_with_its_owners_rights_until_the_key_is_revoked(
    app: flask.Flask, client: Client, bridge: Bridge, keyring: dict[str, str]
) -> None:
    put(client)
    held = keys.Keys(database.of_process())
    secret = held.create("brief", scopes=["write"])
    owner = client_of(app, secret)
    run_id = begin(owner)
    turn(run_id)
    [first] = list_jobs(run_id)
    assert first["submitted_by"] == next(key.id for key in held.list_all() if key.prefix == secret.split("_")[1])
    do_jobs(run_id)
    assert held.revoke(secret.split("_")[1])
    with parts_of(app).keys._lock:
        parts_of(app).keys._cache.clear()
    assert turn(run_id) == "StepFailedError"
    done = show(client, run_id)
    assert done["state"] == "failed"
    assert "was revoked" in done["error"]["message"]
    assert len(list_jobs(run_id)) == 1


def test_a_role_that_is_away_keeps_no_step_of_another_from_beginning_or_ending(
    app: flask.Flask, client: Client, bridge: Bridge
) -> None:
    apart = [
        {"name": "far", "kind": "training.ping"},
        {"name": "near", "kind": "ingestion.ping"},
        {"name": "next", "kind": "ingestion.ping", "needs": ["near"]},
        {"name": "both", "kind": "training.ping"},
    ]
    put(client, {"steps": apart})
    run_id = begin(client)
    with down(app, "training"):
        turn(run_id)
        assert [job["kind"] for job in list_near(run_id)] == ["ingestion.ping"]
        for _ in range(2):
            for job in list_near(run_id):
                if job["state"] == "queued":
                    worker.perform(job)
            turn(run_id)
        assert [job["state"] for job in list_near(run_id)] == ["succeeded"] * 2
        waiting = show(client, run_id)["waiting_for"]
        assert waiting["kind"] == "api"
        assert "training" in waiting["detail"]
    assert carry_out(client, run_id)["state"] == "succeeded"
    assert [job["kind"] for job in list_jobs(run_id)].count("training.ping") == 2


def list_near(story: str) -> list[dict[str, Any]]:
    """List the jobs of a story in the role ingestion, the oldest first."""
    with database.of_process()["ingestion"].statements.connect() as connection:
        rows = connection.execute(
            sa.select(tables.jobs).where(tables.jobs.c.idempotency_key.startswith(story)).order_by(tables.jobs.c.id)
        )
        return [{**row._mapping} for row in rows]


def test_a_run_that_can_not_be_read_any_more_is_wound_up_once(client: Client, bridge: Bridge) -> None:
    put(client)
    run_id = begin(client)
    turn(run_id)
    with database.of_process()[ROLE].transactions.begin() as connection:
        runs.update(connection, run_id, tenant_id="default", document={"steps": "none"})
    assert turn(run_id) == "ValidationError"
    with database.of_process()[ROLE].transactions.begin() as connection:
        [abandoned] = runs.wind_up_abandoned(connection, kind=WIND_UP.name)
    assert abandoned == run_id
    with database.of_process()[ROLE].statements.connect() as connection:
        conductor = runs.find(connection, run_id, tenant_id="default")
    assert conductor is not None
    assert turn(conductor.conducted_by, WIND_UP.name) is None
    with database.of_process()[ROLE].statements.connect() as connection:
        ended = runs.find(connection, run_id, tenant_id="default")
        steps = connection.execute(sa.select(run_steps.c.state).where(run_steps.c.run_id == run_id)).scalars().all()
    assert ended is not None
    assert ended.ended_at is not None
    assert set(steps) == {"cancelled"}


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00"])
def test_a_moment_that_can_not_be_written_is_refused(client: Client, at: str) -> None:
    put(client)
    problem_of(client.post(f"{PATH}/runs", json={"at": at}), 422)


def test_another_tenant_sees_nothing_of_a_run(
    app: flask.Flask, client: Client, bridge: Bridge, keyring: dict[str, str]
) -> None:
    put(client)
    run_id = begin(client)
    turn(run_id)
    stranger = client_of(app, keyring["stranger"])
    put(stranger)
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/resume")):
        problem_of(stranger.open(f"{PATH}/runs/{run_id}{path}", method=method, json={}), 404)
    assert stranger.get(f"{PATH}/runs").get_json()["runs"] == []
    theirs = begin(stranger)
    assert carry_out(stranger, theirs)["state"] == "succeeded"
    assert {job["tenant_id"] for job in list_jobs(theirs)} == {"another"}
    problem_of(stranger.post(f"{PATH}/runs/{theirs}/resume", json={}), 409)
    ended = {"pipeline": "nightly", "resumes": run_id}
    problem_of(stranger.post("/v1/jobs", json={"kind": "orchestration.run", "params": ended}), 404)


def wind_up(client: Client, run_id: str) -> dict[str, Any]:
    """Do what the sweeper and a worker do about runs that have ended before their steps."""
    with database.of_process()[ROLE].transactions.begin() as connection:
        assert runs.wind_up_abandoned(connection, kind=WIND_UP.name) == [run_id]
    with database.of_process()[ROLE].transactions.begin() as connection:
        assert runs.wind_up_abandoned(connection, kind=WIND_UP.name) == []
        row = runs.find(connection, run_id, tenant_id="default")
    assert row is not None
    for _ in range(5):
        turn(row.conducted_by, WIND_UP.name)
        job: dict[str, Any] = client.get(f"/v1/jobs/{row.conducted_by}").get_json()
        if job["finished_at"]:
            return job
    raise AssertionError(job)


@pytest.mark.parametrize("noted", [True, False])
def test_a_cancelled_run_cancels_its_steps_also_one_that_was_not_noted(
    client: Client, bridge: Bridge, noted: bool
) -> None:
    put(client, {"steps": [*PINGS["steps"], {"name": "beside", "kind": "evaluation.ping"}]})
    run_id = begin(client)
    if noted:
        turn(run_id)
    else:

        def kill(moment: str, _method: str, _path: str) -> None:
            if moment == "after":
                raise KilledError

        bridge.interrupt = kill
        kill_turn(run_id)
        bridge.interrupt = lambda *_: None
    cancelled = client.post(f"{PATH}/runs/{run_id}/cancel")
    assert (cancelled.status_code, cancelled.get_json()["state"]) == (202, "cancelled")
    job = wind_up(client, run_id)
    assert (job["state"], job["result"]) == ("succeeded", {"cancelled": 4})
    assert set(states(show(client, run_id)).values()) == {"cancelled"}
    assert [job["state"] for job in list_jobs(run_id)] == ["cancelled", "cancelled"]
    problem_of(client.post(f"{PATH}/runs/{begin_and_finish(client)}/cancel"), 409)


def begin_and_finish(client: Client) -> str:
    run_id = begin(client)
    carry_out(client, run_id)
    return run_id


def test_a_failed_run_is_resumed_with_edits_and_takes_over_what_succeeded(client: Client, bridge: Bridge) -> None:
    put(
        client,
        {
            "params": {"word": "x"},
            "steps": [
                {"name": "a", "kind": "ingestion.ping"},
                {
                    "name": "b",
                    "kind": "evaluation.score",
                    "needs": ["a"],
                    "params": {"model": "none@1", "dataset": "none@1"},
                },
                {"name": "c", "kind": "training.ping", "needs": ["b"]},
                {"name": "d", "kind": "processing.ping", "needs": ["a"]},
            ],
        },
    )
    run_id = begin(client)
    assert carry_out(client, run_id)["state"] == "failed"
    changed = client.get(PATH).get_json()["pipeline"]
    changed["steps"][1] = {"name": "b", "kind": "evaluation.ping", "needs": ["a"]}
    put(client, changed)
    problem_of(client.post(f"{PATH}/runs/{run_id}/resume", json={"from": "nothing"}), 422)
    problem_of(client.post(f"{PATH}/runs/{run_id}/resume", json={"params": {"wrod": "y"}}), 422)
    answer = client.post(f"{PATH}/runs/{run_id}/resume", json={"version": "latest", "params": {"word": "y"}})
    assert answer.status_code == 202, answer.text
    resumed_id = answer.get_json()["id"]
    assert answer.get_json()["resumes"] == run_id
    done = carry_out(client, resumed_id)
    assert (done["state"], done["version"], done["params"]) == ("succeeded", 2, {"word": "y"})
    assert {job["kind"] for job in list_jobs(resumed_id)} == {"evaluation.ping", "training.ping", "processing.ping"} - (
        {"processing.ping"} if states(show(client, run_id))["d"] == "succeeded" else set()
    )
    assert done["steps"][0]["job_id"] == show(client, run_id)["steps"][0]["job_id"]
    again = client.post(f"{PATH}/runs/{resumed_id}/resume", json={"from": "c"}).get_json()["id"]
    assert carry_out(client, again)["state"] == "succeeded"
    assert [job["kind"] for job in list_jobs(again)] == ["training.ping"]
    problem_of(client.post(f"{PATH}/runs/{again}/resume", json={}), 409)


def test_a_run_that_is_under_way_is_not_resumed(client: Client, bridge: Bridge) -> None:
    put(client)
    run_id = begin(client)
    problem_of(client.post(f"{PATH}/runs/{run_id}/resume", json={}), 404)
    turn(run_id)
    problem_of(client.post(f"{PATH}/runs/{run_id}/resume", json={}), 409)


@contextlib.contextmanager
def retired(client: Client) -> Iterator[None]:
    assert client.delete(PATH).status_code == 204
    yield
    put(client)


def test_a_run_keeps_its_version_and_none_begins_of_a_retired_pipeline(client: Client, bridge: Bridge) -> None:
    put(client)
    run_id = begin(client)
    put(client, {"steps": [{"name": "other", "kind": "training.ping"}]})
    with retired(client):
        problem_of(client.post(f"{PATH}/runs", json={}), 404)
        done = carry_out(client, run_id)
    assert (done["state"], done["version"], list(states(done))) == ("succeeded", 1, ["first", "many", "last"])
    problem_of(client.post(f"{PATH}/runs", json={"version": 9}), 404)
    problem_of(client.post(f"{PATH}/runs", json={"params": {"no": 1}}), 422)
    problem_of(client.post("/v1/pipelines/none/runs", json={}), 404)


def test_a_batch_takes_a_key_for_each_job(client: Client) -> None:
    def send(*given: dict[str, Any]) -> Any:
        return client.post("/v1/jobs/batch", json={"jobs": list(given)})

    def job(key: str | None, **more: Any) -> dict[str, Any]:
        return {"kind": "training.ping", "params": {}, **more} | ({} if key is None else {"idempotency_key": key})

    first = send(job("a"), job(None)).get_json()["jobs"]
    second = send(job("b"), job("a"), job(None)).get_json()["jobs"]
    assert second[1]["id"] == first[0]["id"]
    assert len({each["id"] for each in (*first, *second)}) == 4
    problem_of(send(job("c"), job("a", priority=1)), 422)
    assert send(job("c", priority=2)).status_code == 202
    alone = client.post("/v1/jobs", json=job(None), headers={"Idempotency-Key": '"a"'})
    assert alone.get_json()["id"] == first[0]["id"]
