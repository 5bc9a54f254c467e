"""Where jobs wait and nobody listens, the API says so."""

from typing import Any

import httpx
import pytest

from shared.jobs import workers
from tests.system import rig as rigs
from tests.system.rig import ROLE, Rig


def service(rig: Rig) -> dict[str, Any]:
    """Read what is shown of the role."""
    services = rig.client.get("/v1/services").json()["services"]
    found: dict[str, Any] = next(service for service in services if service["role"] == ROLE)
    return found


def ready(rig: Rig) -> dict[str, Any]:
    answer = rig.client.get("/readyz")
    assert answer.status_code == httpx.codes.OK
    document: dict[str, Any] = answer.json()
    return document


def test_jobs_that_nobody_listens_to_are_told_of(rig: Rig, backend: str) -> None:
    counted = 1 if backend == "servers" else None
    assert (service(rig)["status"], service(rig)["problem"], service(rig)["consumers"]) == ("up", None, counted)
    rig.stop([ROLE])
    assert (service(rig)["status"], service(rig)["problem"]) == ("no_workers", None)
    assert ready(rig)["status"] == "ready", "nothing waits"
    waiting = rig.submit()
    rigs.until(lambda: ready(rig)["status"] == "degraded", seconds=10, what=lambda: str(ready(rig)))
    assert ready(rig)["not_ready"] == [f"consumer.{ROLE}"]
    assert ready(rig)["reasons"] == {f"consumer.{ROLE}": "no consumer"}
    assert service(rig)["status"] == "no_workers"
    assert service(rig)["problem"].startswith("no consumer: ")
    rig.start([ROLE])
    assert rig.await_state(waiting)["state"] == "succeeded"
    rigs.until(lambda: service(rig)["consumers"] == counted, seconds=10, what="a consumer")
    assert ready(rig) == {"status": "ready", "not_ready": [], "reasons": {}}
    assert (service(rig)["status"], service(rig)["problem"]) == ("up", None)


def test_jobs_that_wait_for_their_time_do_not_wait_for_a_consumer(rig: Rig) -> None:
    again = rig.submit("retryable", times=1)
    rigs.until(lambda: rig.row(again).attempt == 1, seconds=20, what="the first attempt")
    rig.await_state(again)
    assert service(rig)["problem"] is None


@pytest.mark.servers
@pytest.mark.parametrize("backend", ["servers"], indirect=True)
def test_a_worker_that_beats_but_does_not_listen_is_told_of(rig: Rig) -> None:
    rig.stop([ROLE])
    waiting = rig.submit()
    deaf = workers.Worker(id=f"{ROLE}/deaf", host="here", pid=1, concurrency=1, busy=0, version="1")

    def beat_and_look() -> bool:
        with rig.databases[ROLE].relaxed.connect() as connection:
            workers.announce(connection, deaf)
        return bool(service(rig)["status"] == "no_consumer")

    rigs.until(beat_and_look, seconds=10, what=lambda: str(service(rig)))
    shown = service(rig)
    assert (shown["consumers"], len(shown["workers"]), shown["queue_depth"]) == (0, 1, 1)
    assert shown["problem"].startswith("no consumer: ")
    assert ready(rig)["reasons"] == {f"consumer.{ROLE}": "no consumer"}
    with rig.databases[ROLE].relaxed.connect() as connection:
        workers.withdraw(connection, deaf.id)
    rig.start([ROLE])
    assert rig.await_state(waiting)["state"] == "succeeded"
