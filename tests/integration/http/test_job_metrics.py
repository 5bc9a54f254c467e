"""`/metrics` tells of jobs what their rows say: how many wait, how many ended and how, and how long they took."""

import flask
import flask.testing
import pytest
import sqlalchemy as sa
from prometheus_client import parser

from api.reads import job_metrics
from shared import ids
from shared.jobs import tables
from tests.integration import worker
from tests.integration.steps import down, parts_of

Client = flask.testing.FlaskClient
Labels = tuple[str, ...]


@pytest.fixture(autouse=True)
def _without_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every scrape read."""
    monkeypatch.setattr(job_metrics, "REFRESH_SECONDS", 0.0)


def scrape(client: Client) -> dict[tuple[str, Labels], float]:
    """Return the samples of metrics of jobs by name and labels, which are sorted by their names."""
    families = parser.text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith(("millrace_job", "millrace_queue", "millrace_oldest"))
    }


def submit(client: Client, kind: str = "training.ping") -> dict[str, object]:
    """Submit a job."""
    job: dict[str, object] = client.post("/v1/jobs", json={"kind": kind, "params": {}}).get_json()
    return job


class Growth:
    """How much counters have grown since; they count for all tests of this process."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._before = scrape(client)

    def of(self, name: str, *labels: str) -> float:
        return scrape(self._client).get((name, labels), 0.0) - self._before.get((name, labels), 0.0)


def test_queued_jobs_are_counted_by_role(client: Client) -> None:
    for kind in ("training.ping", "training.ping", "storage.ping"):
        submit(client, kind)
    depths = {labels[0]: value for (name, labels), value in scrape(client).items() if name == "millrace_queue_depth"}
    assert depths["training"] == 2
    assert depths["storage"] == 1
    assert depths["ingestion"] == 0


def test_ends_are_counted_once_by_kind_and_state_with_how_long_they_took(client: Client) -> None:
    growth = Growth(client)
    first, failing, cancelled, waiting = (submit(client) for _ in range(4))
    worker.perform(first)
    worker.perform(failing, body=worker.fail)
    assert client.post(f"/v1/jobs/{cancelled['id']}/cancel").status_code == 202
    ended = "millrace_jobs_ended_total"
    for _ in range(3):
        assert growth.of(ended, "training.ping", "succeeded") == 1
    assert growth.of(ended, "training.ping", "failed") == 1
    assert growth.of(ended, "training.ping", "cancelled") == 1
    assert growth.of("millrace_job_seconds_count", "training.ping", "succeeded") == 1
    assert growth.of("millrace_job_seconds_count", "training.ping", "cancelled") == 0
    worker.perform(waiting)
    assert growth.of(ended, "training.ping", "succeeded") == 2


def test_a_duration_is_from_the_first_claim_to_the_end(app: flask.Flask, client: Client) -> None:
    growth = Growth(client)
    job = submit(client)
    worker.perform(job)
    change = sa.update(tables.jobs).where(tables.jobs.c.id == job["id"])
    with parts_of(app).databases["training"].transactions.begin() as connection:
        connection.execute(change.values(started_at=tables.jobs.c.finished_at - 4000))
    assert growth.of("millrace_job_seconds_sum", "training.ping", "succeeded") == pytest.approx(4.0)
    assert growth.of("millrace_job_seconds_bucket", "training.ping", "2.5", "succeeded") == 0


def test_a_job_that_is_committed_after_one_with_a_greater_id_is_counted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    growth = Growth(client)
    early = ids.new_job_id("training")
    worker.perform(submit(client))
    assert growth.of("millrace_jobs_ended_total", "training.ping", "succeeded") == 1
    monkeypatch.setattr(ids, "new_job_id", lambda _role: early)
    late = submit(client)
    assert late["id"] == early
    worker.perform(late)
    assert growth.of("millrace_jobs_ended_total", "training.ping", "succeeded") == 2


def test_many_jobs_are_read_page_by_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_metrics, "_PAGE", 3)
    monkeypatch.setattr(job_metrics, "_CHUNK", 2)
    growth = Growth(client)
    jobs = [submit(client) for _ in range(8)]
    assert growth.of("millrace_jobs_ended_total", "training.ping", "succeeded") == 0
    for job in jobs[1:]:
        worker.perform(job)
    assert growth.of("millrace_jobs_ended_total", "training.ping", "succeeded") == 7


def test_a_role_whose_database_is_away_is_left_out_and_counted_later(app: flask.Flask, client: Client) -> None:
    growth = Growth(client)
    worker.perform(submit(client))
    with down(app, "training"):
        found = scrape(client)
        assert ("millrace_queue_depth", ("training",)) not in found
        assert ("millrace_queue_depth", ("storage",)) in found
    assert growth.of("millrace_jobs_ended_total", "training.ping", "succeeded") == 1
    assert ("millrace_queue_depth", ("training",)) in scrape(client)
