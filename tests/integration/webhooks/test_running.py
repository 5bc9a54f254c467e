"""The programs as they run: a job ends, and the sweeper tells a webhook."""

import pathlib
import time

import pytest

from tests.system_under_test import System
from tests.webhook_receiver import Answer, Receiver


@pytest.mark.slow
def test_the_end_of_a_job_reaches_a_webhook_though_another_receiver_hangs(tmp_path: pathlib.Path) -> None:
    with (
        Receiver() as hanging,
        Receiver() as receiver,
        System(tmp_path / "home", settings={"MILLRACE_WEBHOOK_ALLOW_HOSTS": "127.0.0.1/32"}) as system,
    ):
        hanging.answers = [Answer(hangs=True)] * 100
        system.start(["api", "sweeper"])
        for name, url in (("slow", hanging.url), ("fine", receiver.url)):
            created = system.client.put(f"/v1/webhooks/{name}", json={"url": url, "types": ["job.*"]})
            assert created.status_code == 201, created.text
        secret = created.json()["secret"]
        jobs = []
        for _ in range(3):
            job = system.client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).json()
            system.client.post(f"/v1/jobs/{job['id']}/cancel")
            jobs.append(job["id"])
        limit = time.monotonic() + 15
        while len(receiver.received) < 3 and time.monotonic() < limit:
            time.sleep(0.05)
        assert sorted(got.event["subject"] for got in receiver.received) == sorted(jobs)
        assert {got.event["type"] for got in receiver.received} == {"dev.millrace.job.cancelled"}
        assert all(got.is_signed_with(secret) for got in receiver.received)
        assert hanging.received
