"""Must-hold 3: while everything is killed, stopped, restarted and flushed, no accepted job is lost or done twice."""

import collections
import contextlib
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable

import httpx
import psutil
import pytest

from tests import servers_postgres, servers_rabbitmq
from tests.system import rig as rigs
from tests.system.conftest import MakeRig
from tests.system.rig import ROLE, Rig

pytestmark = pytest.mark.chaos

JOBS = 300
CLIENTS = 4
SUBMIT_SECONDS = 28.0
DRAIN_SECONDS = 90.0
WORKERS = (ROLE, f"{ROLE}#2")
SEED = 20261121


class Clients:
    """Clients who submit jobs for some time, and keep a ledger of what was accepted."""

    def __init__(self, rig: Rig) -> None:
        """Begin to submit."""
        self._rig = rig
        self.accepted: dict[str, str] = {}
        self.slowest_seconds = 0.0
        self._threads = [
            threading.Thread(target=self._submit, args=(number,), daemon=True) for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until all is submitted."""
        for thread in self._threads:
            thread.join(SUBMIT_SECONDS + 60)

    def _submit(self, number: int) -> None:
        chance = random.Random(SEED + number)
        headers = {"Authorization": f"Bearer {self._rig.key}"}
        with httpx.Client(base_url=self._rig.url, headers=headers, timeout=20.0) as client:
            for _ in range(JOBS // CLIENTS):
                params = {"how": "sleep", "seconds": round(chance.uniform(0.01, 0.4), 3)}
                self._insist(client, {"kind": f"{ROLE}.act", "params": params})
                time.sleep(SUBMIT_SECONDS / (JOBS // CLIENTS) * chance.uniform(0.2, 1.2))

    def _insist(self, client: httpx.Client, document: dict[str, object]) -> None:
        """Submit under one key until it is accepted, as a careful client does."""
        key = uuid.uuid4().hex
        until = time.monotonic() + 60
        while time.monotonic() < until:
            began = time.monotonic()
            with contextlib.suppress(httpx.TransportError):
                answer = client.post("/v1/jobs", json=document, headers={"Idempotency-Key": f'"{key}"'})
                if answer.status_code == httpx.codes.ACCEPTED:
                    self.accepted[key] = answer.json()["id"]
                    self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
                    return
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            time.sleep(0.2)


class Monkey:
    """Kills, stops and restarts things by a seeded chance, each restart once."""

    def __init__(self, rig: Rig, restarts: dict[str, Callable[[], None]]) -> None:
        """Remember what can be restarted."""
        self._rig = rig
        self._chance = random.Random(SEED)
        self._restarts = dict(restarts)
        self._under_way: list[threading.Thread] = []
        self.done: collections.Counter[str] = collections.Counter()

    def rage(self, seconds: float) -> None:
        """Do harm for some time, with every restart at its turn in between."""
        until = time.monotonic() + seconds
        restart_every = seconds / (len(self._restarts) + 1)
        next_restart = time.monotonic() + restart_every
        while time.monotonic() < until:
            if self._restarts and time.monotonic() >= next_restart:
                self._restart(next(iter(self._restarts)))
                next_restart = time.monotonic() + restart_every
            self._supervise()
            harm = self._chance.choice([self._kill_child, self._stop_child, self._kill_parent, self._stop_parent])
            harm(self._chance.choice(WORKERS))
            time.sleep(self._chance.uniform(0.5, 1.5))
        for thread in self._under_way:
            thread.join()
        self._supervise()

    def _supervise(self) -> None:
        """Start what has ended, as whatever runs a worker does; Celery's own ends when it is harmed while it starts."""
        for worker in WORKERS:
            if not self._rig.alive(worker):
                self._rig.launch(worker)
                self.done["supervisor started a worker"] += 1

    def _restart(self, name: str) -> None:
        thread = threading.Thread(target=self._restarts.pop(name))
        thread.start()
        self._under_way.append(thread)
        self.done[name] += 1

    def _kill_child(self, worker: str) -> None:
        if children := self._rig.children(worker):
            rigs.kill_9([self._chance.choice(children)])
            self.done["child killed"] += 1

    def _stop_child(self, worker: str) -> None:
        if children := self._rig.children(worker):
            self._stop(self._chance.choice(children))
            self.done["child stopped"] += 1

    def _stop_parent(self, worker: str) -> None:
        if self._rig.alive(worker):
            self._stop(psutil.Process(self._rig.processes[worker].pid))
            self.done["parent stopped"] += 1

    def _kill_parent(self, worker: str) -> None:
        if self._rig.alive(worker) and self._chance.random() < 0.5:
            self._rig.kill_parent(worker)
            self._rig.processes[worker].wait(timeout_seconds=5)
            self._rig.launch(worker)
            self.done["parent killed"] += 1

    def _stop(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
            timer = threading.Timer(self._chance.uniform(0.5, 8.0), self._resume, (process,))
            timer.start()
            self._under_way.append(timer)

    def _resume(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def restarts_of(rig: Rig, request: pytest.FixtureRequest, backend: str) -> dict[str, Callable[[], None]]:
    """Return what can be restarted on a backend."""

    def api() -> None:
        rig.kill("api")
        rig.launch("api")

    def valkey() -> None:
        rig.kill("valkey")
        time.sleep(1)
        rig.start([])

    restarts: dict[str, Callable[[], None]] = {"redis flushed": rig.flush_redis, "api restarted": api}
    if backend == "embedded":
        return {**restarts, "broker restarted": valkey, "redis flushed again": rig.flush_redis}
    rabbitmq: servers_rabbitmq.PrivateRabbitMQ = request.getfixturevalue("rabbitmq")
    postgres: servers_postgres.PrivatePostgres = request.getfixturevalue("private_postgres")

    def broker() -> None:
        rabbitmq.kill()
        rabbitmq.start()

    def database() -> None:
        postgres.kill()
        time.sleep(0.5)
        postgres.start()

    return {**restarts, "broker restarted": broker, "database restarted": database}


@pytest.mark.timeout(300)
def test_no_accepted_job_is_lost_or_done_twice(
    backend: str, make_rig: MakeRig, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = make_rig(backend, worker_concurrency="2")
    rig.start(["api", "sweeper", *WORKERS])
    monkey = Monkey(rig, restarts_of(rig, request, backend))
    clients = Clients(rig)
    monkey.rage(SUBMIT_SECONDS + 4)
    clients.join()
    accepted = set(clients.accepted.values())
    assert len(accepted) == JOBS, "each submission is accepted at last, each under a key of its own"

    states: dict[str, str] = {}
    rigs.until(lambda: all_ended(rig, accepted, states), seconds=DRAIN_SECONDS, what=lambda: unfinished(rig, states))
    effects = rig.effects()
    count = collections.Counter(states.values())
    with capsys.disabled():
        sys.stdout.write(
            f"\n{backend}, seed {SEED}: {dict(count)} of {JOBS}; {dict(monkey.done)}; "
            f"slowest 202 {clients.slowest_seconds:.1f} s\n"
        )
    assert {job: effects.get(job, 0) for job in accepted} == {job: int(states[job] == "succeeded") for job in accepted}
    assert set(effects) <= accepted
    assert set(count) <= {"succeeded", "dead"}
    assert count["succeeded"] >= JOBS * 0.97


def all_ended(rig: Rig, accepted: set[str], states: dict[str, str]) -> bool:
    """Look at the jobs that had not ended when last looked at."""
    for job_id in accepted:
        if states.get(job_id) not in rigs.ENDS:
            states[job_id] = rig.row(job_id).state
    return all(state in rigs.ENDS for state in states.values())


def unfinished(rig: Rig, states: dict[str, str]) -> str:
    """Describe some of the jobs that have not ended."""
    return "; ".join(str(rig.row(job)._asdict()) for job, state in list(states.items())[:5] if state not in rigs.ENDS)
