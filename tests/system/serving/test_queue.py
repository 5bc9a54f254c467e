"""Predictions through the queue while workers are killed: each job ends once, with its own answer."""

import signal
import threading
import time
from typing import Any

import httpx
import psutil
import pytest
import sqlalchemy as sa

from shared.jobs import tables
from tests.integration import sample_data
from tests.system.conftest import MakeRig
from tests.system.rig import Rig, until

PATH = "/v1/deployments/great/predictions"
BIG_ROWS, JOBS = 400_000, 150


@pytest.fixture(scope="module")
def rig(backend: str, make_rig: MakeRig) -> Rig:
    """Return a system with a deployment of two versions, on each backend in turn."""
    rig = make_rig(backend, worker_concurrency="2", worker_threads="2", test_own_jobs="1", lease_seconds="8")
    rig.start(["api", "sweeper", "ingestion,training", "prediction"])
    finish(rig, load(rig, "things", sample_data.table()))
    for strength in (1.0, 0.01):
        order = {**sample_data.TRAINING, "estimator": {"name": "LogisticRegression", "params": {"C": strength}}}
        finish(rig, rig.client.post("/v1/models/greatness", json=order))
    routes = [{"model": "greatness@1", "weight": 60}, {"model": "greatness@2", "weight": 40}]
    answer = rig.client.put("/v1/deployments/great", json={"routes": routes, "sticky_key": "word"})
    assert answer.status_code == httpx.codes.OK, answer.text
    return rig


def load(rig: Rig, name: str, table: bytes) -> httpx.Response:
    return rig.client.post(f"/v1/datasets/{name}", content=table, headers={"Content-Type": "text/csv"})


def finish(rig: Rig, accepted: httpx.Response) -> dict[str, Any]:
    assert accepted.status_code == httpx.codes.ACCEPTED, accepted.text
    return rig.await_state(accepted.json()["id"], "succeeded", seconds=200)


def kill_pool(rig: Rig, name: str = "prediction") -> None:
    """Kill -9 all processes of a worker's pool, and what they have started."""
    for child in rig.children(name):
        for process in (*child.children(recursive=True), child):
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue


def test_each_job_ends_once_with_its_own_answer_while_workers_are_killed(rig: Rig) -> None:
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(1.5):
            kill_pool(rig)

    killer = threading.Thread(target=kill)
    rows = [{"a": number / JOBS, "b": 0.25, "word": ("red", "green", "blue")[number % 3]} for number in range(JOBS)]
    ids = []
    for number, row in enumerate(rows):
        if number == JOBS // 3:
            killer.start()
        answer = rig.client.post(PATH, json={"instances": [row]})
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        ids.append(answer.json()["id"])
    time.sleep(4)
    ended.set()
    killer.join()
    jobs = [rig.await_state(job_id, seconds=120) for job_id in ids]
    # Three losses end a job as `dead`, which is an end too; what succeeded has the answer of its own row.
    assert {job["state"] for job in jobs} <= {"succeeded", "dead"}
    done = [(row, job) for row, job in zip(rows, jobs, strict=True) if job["state"] == "succeeded"]
    assert len(done) > JOBS // 3
    for row, job in done[:: max(1, len(done) // 10)]:
        again = finish(rig, rig.client.post(PATH, json={"instances": [row]}))["result"]
        assert again["versions"] == job["result"]["versions"]
        [one], [other] = again["predictions"], job["result"]["predictions"]
        assert one["probability_yes"] == pytest.approx(other["probability_yes"], rel=1e-9)
    with rig.databases["prediction"].statements.connect() as connection:
        left = sa.select(sa.func.count()).where(tables.jobs.c.state.in_(["queued", "running"]))
        assert connection.execute(left).scalar_one() == 0


def test_a_batch_goes_on_after_a_kill_and_repeats_no_finished_part(rig: Rig) -> None:
    header, *lines = sample_data.table(rows=4000).decode().splitlines()
    table = "\n".join([header, *(lines * (BIG_ROWS // len(lines)))]).encode()
    finish(rig, load(rig, "many", table))
    order = {"deployment": "great", "dataset": "many@1", "name": "guesses"}
    job_id = rig.client.post("/v1/predictions", json=order).json()["id"]
    folder = rig.home / "objects" / "default" / "prediction" / job_id
    until(lambda: len(list(folder.rglob("part-*"))) >= 2, seconds=120, what="the first parts")
    kill_pool(rig)
    before = {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("part-*")}
    until(lambda: rig.row(job_id).attempt > 1, seconds=60, what="another attempt")
    job = rig.await_state(job_id, "succeeded", seconds=200)
    assert job["result"]["dataset"]["rows"] == BIG_ROWS // len(lines) * len(lines)
    numbers = [name.rpartition("/")[2] for name in before]
    assert len(numbers) == len(set(numbers))
    log = rig.text_of_log("prediction")
    assert "part_not_read" not in log
    until(lambda: not list(folder.rglob("part-*")), seconds=20, what="the removal of the parts")
