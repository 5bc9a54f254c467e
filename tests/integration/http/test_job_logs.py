"""`GET /v1/jobs/{id}/logs`: the lines of a job, followed while it runs and read when it has ended."""

from collections.abc import Iterator
from typing import Any

import flask
import flask.testing
import pytest
import structlog
import structlog.testing

from shared import database, errors, ids, ping
from shared.jobs import ledger, log_lines, tables
from tests.integration import worker
from tests.integration.steps import client_of, problem_of
from workers import log_capture
from workers.job import Finish, Job

Client = flask.testing.FlaskClient
_log = structlog.get_logger()


@pytest.fixture(autouse=True)
def taken(client: Client) -> Iterator[None]:
    """Let lines be taken as in a worker's process."""
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, log_capture.take]
    ):
        yield


def submit(client: Client) -> dict[str, Any]:
    job: dict[str, Any] = client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).get_json()
    return job


def say(job: Job, _command: Any) -> Finish:
    """Say something, and fail the first time."""
    _log.info("part_done", part=job.attempt)
    _log.warning("odd\x1b[31m", name="a\nb")
    if job.attempt == 1:
        raise errors.RetryableError("not yet")
    return ping.Pong(attempt=job.attempt)


@pytest.fixture
def job(client: Client) -> dict[str, Any]:
    """Return a job that was retried once."""
    accepted = submit(client)
    assert worker.perform(accepted, body=say) == "RetryableError"
    with database.of_process()["training"].statements.connect() as connection:
        connection.execute(tables.jobs.update().values(run_after=0))
    assert worker.perform(accepted, body=say) is None
    return accepted


def read(client: Client, job: dict[str, Any], query: str = "") -> dict[str, Any]:
    response = client.get(f"{job['links']['logs']}{query}")
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.get_json()
    return document


SAID = [
    (1, "info", "job_started"),
    (1, "info", "part_done"),
    (1, "warning", "odd\x1b[31m"),
    (1, "info", "job_retry_scheduled"),
    (2, "info", "job_started"),
    (2, "info", "part_done"),
    (2, "warning", "odd\x1b[31m"),
    (2, "info", "job_succeeded"),
]


def said(log: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(line["attempt"], line["level"], line["message"]) for line in log["lines"]]


def test_the_lines_of_all_attempts_are_there_in_order(client: Client, job: dict[str, Any]) -> None:
    log = read(client, job)
    assert said(log) == SAID
    assert log["complete"] is True
    assert log["lines"][1]["fields"] == {"part": 1}
    assert log["lines"][3]["fields"]["error"] == "RetryableError: not yet"
    moments = [line["at"] for line in log["lines"]]
    shown = client.get(job["links"]["self"]).get_json()
    assert (moments[0], moments[-1]) == (shown["started_at"], shown["finished_at"])
    assert moments == sorted(moments)
    assert said(read(client, job, "?attempt=2")) == SAID[4:]


def test_pages_that_follow_one_another_miss_nothing_and_repeat_nothing(client: Client, job: dict[str, Any]) -> None:
    seen, after, complete = [], "0", False
    while not complete:
        log = read(client, job, f"?limit=3&after={after}")
        assert len(log["lines"]) <= 3
        seen += said(log)
        after, complete = log["next"], log["complete"]
    assert seen == SAID
    behind = read(client, job, f"?after={after}")
    assert (behind["lines"], behind["next"], behind["complete"]) == ([], after, True)


def test_a_running_job_is_followed(client: Client) -> None:
    accepted = submit(client)
    assert read(client, accepted) == {"lines": [], "next": "0", "complete": False}
    with database.of_process()["training"].relaxed.connect() as connection:
        claim = ledger.claim(connection, accepted["id"], owner="w", lease_seconds=60, max_run_seconds=60)
        assert claim
        first = read(client, accepted)
        assert (said(first), first["complete"]) == ([(1, "info", "job_started")], False)
        source = log_lines.Source(claim.job_id, claim.tenant_id, 1, 1)
        log_lines.append_while_running(connection, source, [log_lines.Line(1, 0, "info", "part_done", {})])
    second = read(client, accepted, f"?after={first['next']}")
    assert (said(second), second["complete"]) == ([(1, "info", "part_done")], False)
    client.post(f"/v1/jobs/{accepted['id']}/cancel")
    with database.of_process()["training"].transactions.begin() as connection:
        ledger.hand_back(connection, accepted["id"], attempt=1)
    third = read(client, accepted, f"?after={second['next']}")
    assert (said(third), third["complete"]) == ([(1, "info", "job_cancelled")], True)


def test_a_job_that_said_nothing_tells_of_its_start_and_end(client: Client) -> None:
    accepted = submit(client)
    worker.perform(accepted)
    assert said(read(client, accepted)) == [(1, "info", "job_started"), (1, "info", "job_succeeded")]


def test_a_job_that_no_worker_ended_tells_what_its_row_tells(client: Client) -> None:
    accepted = submit(client)
    with database.of_process()["training"].transactions.begin() as connection:
        connection.execute(tables.jobs.update().values(deadline_at=1))
        assert ledger.sweep_overdue(connection)
    log = read(client, accepted)
    assert (said(log), log["complete"]) == ([(0, "error", "job_failed")], True)
    assert log["lines"][0]["fields"] == {"error": "DeadlineExceededError"}


def test_a_job_that_failed_tells_why(client: Client) -> None:
    accepted = submit(client)
    worker.perform(accepted, body=worker.fail)
    last = read(client, accepted)["lines"][-1]
    assert (last["level"], last["message"], last["fields"]) == ("error", "job_failed", {"error": "ValueError"})


def test_a_terminal_gets_a_text_that_can_not_control_it(client: Client, job: dict[str, Any]) -> None:
    response = client.get(f"{job['links']['logs']}?attempt=1&limit=3", headers={"Accept": "text/plain"})
    assert response.content_type == "text/plain; charset=utf-8"
    *_, odd = lines = response.text.splitlines()
    assert len(lines) == 3
    assert odd.partition(" ")[2] == r"warning  [1] odd\x1b[31m name=a\nb"
    following = response.headers["Link"].partition(">")[0].removeprefix("<")
    assert said(client.get(following).get_json()) == SAID[3:4]


def test_nobody_else_reads_them_and_what_is_no_job_has_none(
    app: flask.Flask, client: Client, keyring: dict[str, str], job: dict[str, Any]
) -> None:
    problem_of(client_of(app, keyring["stranger"]).get(job["links"]["logs"]), 404)
    assert said(client_of(app, keyring["reader"]).get(job["links"]["logs"]).get_json()) == SAID
    for unknown in (ids.new_job_id("training"), "nonsense", "x_y"):
        problem_of(client.get(f"/v1/jobs/{unknown}/logs"), 404)


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", f"after={10**30}", "limit=0", "limit=1001", "attempt=-1", "attempt=", "cursor=1"]
)
def test_what_is_no_place_in_a_log_is_refused(client: Client, query: str) -> None:
    accepted = submit(client)
    problem = problem_of(client.get(f"{accepted['links']['logs']}?{query}"), 422)
    assert problem["errors"][0]["pointer"] == f"#/{query.partition('=')[0]}"
