"""The database's connections fall silent behind a hop that goes on acknowledging: work goes on, and TERM ends all."""

import collections
import math
import pathlib
import secrets
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence

import httpx
import psutil
import pytest

from shared import database, settings
from tests import servers_postgres, servers_rabbitmq, servers_redis
from tests.silent_proxy import Lost, SilentProxy
from tests.system import rig as rigs
from tests.system.rig import ROLE, Rig

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]

GOAL_SECONDS = 30.0
"""From when new connections are possible until work goes on, on a machine that has nothing else to do."""
PATIENCE = 2.0
GRACE_SECONDS = 3.0
KILL_AFTER_SECONDS = 2.0
EARNEST = {
    # As long as in earnest, because the limits of statements are.
    "MILLRACE_LEASE_SECONDS": "24",
    "MILLRACE_BEAT_SECONDS": "6",
    "MILLRACE_FENCE_SECONDS": "18",
    "MILLRACE_RING_AGAIN_SECONDS": "30",
    "MILLRACE_WORKER_CONCURRENCY": "2",
    "MILLRACE_WORKER_GRACE_SECONDS": str(GRACE_SECONDS),
    "MILLRACE_KILL_AFTER_SECONDS": str(KILL_AFTER_SECONDS),
}
PROCESSES = ("api", "sweeper", ROLE)


@pytest.fixture
def proxy(private_postgres: servers_postgres.PrivatePostgres) -> Iterator[SilentProxy]:
    """Yield a proxy before PostgreSQL."""
    with SilentProxy("127.0.0.1", private_postgres.port) as proxy:
        yield proxy


@pytest.fixture
def behind(
    proxy: SilentProxy,
    private_postgres: servers_postgres.PrivatePostgres,
    rabbitmq: servers_rabbitmq.PrivateRabbitMQ,
    valkey: servers_redis.PrivateRedis,
    tmp_path: pathlib.Path,
) -> Iterator[Rig]:
    """Yield a running system whose database is behind the proxy; the test itself looks past it."""
    past = private_postgres.url(f"m{secrets.token_hex(4)}_{{role}}")
    url = past.replace(f":{private_postgres.port}/", f":{proxy.port}/")
    assert url != past
    broker_url = rabbitmq.create_vhost()
    with Rig(tmp_path, database_url=url, broker_url=broker_url, redis_url=valkey.url, settings=EARNEST) as rig:
        rig.databases.dispose()
        rig.databases = database.Databases(settings.Settings(home=tmp_path, database_url=past, database_urls={}))
        rig.start(PROCESSES)
        yield rig


class Clients:
    """Clients who submit short jobs until told to stop, each under a key until it is accepted."""

    def __init__(self, rig: Rig, *, count: int = 4) -> None:
        """Begin."""
        self._rig = rig
        self._stopping = threading.Event()
        self.accepted: dict[str, float] = {}
        """When each job's submission began (monotonic)."""
        self.refusals: collections.Counter[int] = collections.Counter()
        self._threads = [threading.Thread(target=self._submit, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def dismiss(self) -> None:
        """Begin to submit no more."""
        self._stopping.set()

    def stop(self) -> None:
        """Submit no more."""
        self.dismiss()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _submit(self) -> None:
        headers = {"Authorization": f"Bearer {self._rig.key}"}
        with httpx.Client(base_url=self._rig.url, headers=headers, timeout=60.0) as client:
            while not self._stopping.is_set():
                self._insist(client, uuid.uuid4().hex)
                time.sleep(0.2)

    def _insist(self, client: httpx.Client, key: str) -> None:
        document = {"kind": f"{ROLE}.act", "params": {"how": "sleep", "seconds": 0.05}}
        while True:
            began = time.monotonic()
            try:
                answer = client.post("/v1/jobs", json=document, headers={"Idempotency-Key": f'"{key}"'})
            except httpx.TransportError:
                if self._stopping.is_set():
                    return
                raise
            if answer.status_code == httpx.codes.ACCEPTED:
                self.accepted[answer.json()["id"]] = began
                return
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            assert answer.headers["Retry-After"]
            self.refusals[answer.status_code] += 1
            time.sleep(0.5)


class Liveness:
    """Asks `/healthz` all the time."""

    def __init__(self, rig: Rig) -> None:
        """Begin."""
        self._url = f"{rig.url}/healthz"
        self._stopping = threading.Event()
        self.slowest_seconds = 0.0
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return how long the slowest answer took, in seconds."""
        self._stopping.set()
        self._thread.join(30)
        return self.slowest_seconds

    def _ask(self) -> None:
        with httpx.Client(timeout=30.0) as client:
            while not self._stopping.wait(0.2):
                began = time.monotonic()
                assert client.get(self._url).status_code == httpx.codes.OK
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)


def first_done_after(rig: Rig, clients: Clients, moment: float) -> bool:
    """Tell whether a job that was submitted after a moment has succeeded."""
    later = [job_id for job_id, began in list(clients.accepted.items()) if began > moment]
    return any(rig.row(job_id).state == "succeeded" for job_id in later)


def check_that_all_is_done_once(rig: Rig, jobs: set[str]) -> None:
    """Wait until all jobs have ended, and compare with what they did."""
    rigs.until(
        lambda: all(rig.row(job_id).state in rigs.ENDS for job_id in jobs),
        seconds=90,
        what=lambda: str([rig.row(job_id)._asdict() for job_id in jobs if rig.row(job_id).state not in rigs.ENDS][:3]),
    )
    states = collections.Counter(rig.row(job_id).state for job_id in jobs)
    assert states == {"succeeded": len(jobs)}
    assert rig.effects() == dict.fromkeys(jobs, 1)


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


@pytest.mark.parametrize("lost", ["all", "answers"])
def test_work_goes_on_when_connections_fall_silent(
    behind: Rig, proxy: SilentProxy, lost: Lost, capsys: pytest.CaptureFixture[str]
) -> None:
    long = behind.submit("sleep", seconds=30)
    behind.await_state(long, "running")
    clients, liveness = Clients(behind), Liveness(behind)
    rigs.until(lambda: len(clients.accepted) >= 20, seconds=60)
    count = proxy.silence(lost)
    silent = time.monotonic()
    rigs.until(lambda: first_done_after(behind, clients, silent), seconds=PATIENCE * GOAL_SECONDS)
    seconds = time.monotonic() - silent
    time.sleep(1)
    clients.stop()
    slowest = liveness.stop()
    check_that_all_is_done_once(behind, {*clients.accepted, long})
    assert count >= 5
    assert behind.row(long).attempt == 1, "a running job went on"
    assert slowest < 5
    say(
        capsys,
        f"{count} connections silent ({lost}): work went on after {seconds:.1f} s (goal {GOAL_SECONDS:.0f}), "
        f"{clients.refusals[503]} refusals, slowest /healthz {slowest:.2f} s, {len(clients.accepted)} jobs",
    )


def test_work_goes_on_when_the_server_can_be_reached_again(
    behind: Rig, proxy: SilentProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    clients = Clients(behind)
    rigs.until(lambda: len(clients.accepted) >= 20, seconds=60)
    proxy.silence(new_too=True)
    time.sleep(20)
    began = time.monotonic()
    answer = httpx.get(f"{behind.url}/readyz", timeout=30)
    assert time.monotonic() - began < 10
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert {"database.api", f"database.{ROLE}"} <= set(answer.json()["not_ready"])
    proxy.heal()
    healed = time.monotonic()
    rigs.until(lambda: first_done_after(behind, clients, healed), seconds=PATIENCE * GOAL_SECONDS)
    seconds = time.monotonic() - healed
    clients.stop()
    check_that_all_is_done_once(behind, set(clients.accepted))
    rigs.until(lambda: httpx.get(f"{behind.url}/readyz", timeout=30).json()["not_ready"] == [], seconds=30)
    say(capsys, f"silent for 20 s: work went on {seconds:.1f} s after (goal {GOAL_SECONDS:.0f})")


def test_term_ends_every_process_within_its_grace_while_the_database_is_silent(
    behind: Rig, proxy: SilentProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    long = behind.submit("sleep", seconds=20)
    behind.await_state(long, "running")
    clients = Clients(behind)
    rigs.until(lambda: len(clients.accepted) >= 20, seconds=60)
    proxy.silence(new_too=True)
    # Requests, chores, claims and beats are to be in the middle of their waits.
    time.sleep(3)
    clients.dismiss()
    pool = behind.children(ROLE)
    assert len(pool) == 2
    took = seconds_to_end(behind, PROCESSES)
    assert psutil.wait_procs(pool, timeout=5)[1] == []
    say(capsys, f"TERM in silence: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in took.items())}")
    limits = {"api": 30.0, "sweeper": 5.0, ROLE: GRACE_SECONDS + KILL_AFTER_SECONDS + 5.0}
    for name, limit in limits.items():
        assert took[name] < limit + 3, f"{name}: {behind.log(name).read_text()[-3000:]}"
    proxy.heal()
    for name in PROCESSES:
        behind.kill(name)
    behind.start(PROCESSES)
    clients.stop()
    check_that_all_is_done_once(behind, {*clients.accepted, long})


def seconds_to_end(rig: Rig, names: Sequence[str]) -> dict[str, float]:
    """Send TERM to processes and tell how long each took to end; infinite if one did not."""
    began = time.monotonic()
    took = dict.fromkeys(names, math.inf)
    for name in names:
        rig.signal(name, signal.SIGTERM)
    while math.inf in took.values() and time.monotonic() - began < 60:
        for name in names:
            if took[name] == math.inf and not rig.alive(name):
                took[name] = time.monotonic() - began
        time.sleep(0.05)
    return took
