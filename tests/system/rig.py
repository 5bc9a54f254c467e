"""The system under test with workers that misbehave on demand, and looks behind its API."""

import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import httpx
import kombu
import psutil
import redis
import sqlalchemy as sa

from shared import database, ids, roles, settings
from shared.jobs import ledger, tables
from shared.queues import broker
from tests import forked, servers_guard, servers_rabbitmq, system_under_test
from tests.system import acts

FAST = {
    "MILLRACE_LEASE_SECONDS": "6",
    "MILLRACE_BEAT_SECONDS": "1",
    "MILLRACE_FENCE_SECONDS": "4",
    "MILLRACE_CANCEL_CHECK_SECONDS": "0.5",
    "MILLRACE_KILL_AFTER_SECONDS": "2",
    "MILLRACE_SWEEP_SECONDS": "1",
    "MILLRACE_RING_SECONDS": "0.5",
    "MILLRACE_RING_AGAIN_SECONDS": "2",
    "MILLRACE_RETRY_BASE_SECONDS": "0.4",
    "MILLRACE_WORKER_GRACE_SECONDS": "3",
}
"""Everything that takes a minute in earnest takes seconds here."""
ROLE = "ingestion"
ENDS = ("succeeded", "failed", "cancelled", "dead")


class Rig(system_under_test.System):
    """A system whose workers and API know the tests' acts."""

    def __init__(
        self,
        home: pathlib.Path,
        *,
        database_url: str = "",
        broker_url: str = "",
        redis_url: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Keep where things are; nothing runs yet."""
        super().__init__(
            home,
            database_url=database_url,
            broker_url=broker_url,
            redis_url=redis_url,
            settings={**FAST, **(settings or {})},
        )
        self.config = _settings(home, database_url=database_url, broker_url=broker_url, redis_url=redis_url)
        self.databases = database.Databases(self.config)

    def prepare(self) -> None:
        """Make the databases, a key, and in each role's database the table of effects."""
        super().prepare()
        for role in roles.ROLES:
            acts.effects.metadata.create_all(self.databases[role].transactions)

    def start(self, names: Sequence[str] = ("api", "sweeper", ROLE)) -> None:
        """Start processes that do not run yet and wait until each is ready."""
        super().start([])
        for name in names:
            if name not in ("sweeper", "valkey", "inference") and not self.alive(name):
                self.launch(name)
        super().start(names)
        workers = [name for name in names if name not in ("api", "sweeper", "valkey", "inference")]
        if "api" in self.processes:
            self._wait_until(lambda: all(self._worker_registered(name) for name in workers), ",".join(workers))

    def launch(self, name: str) -> None:
        """Start the API or a worker, the tests' own instead of the product's, and do not wait."""
        command = ["api_server", "serve"] if name == "api" else ["worker", *system_under_test.roles_of(name)]
        self._forget(name)
        self.processes[name] = forked.start(
            [sys.executable, "-m", f"tests.system.{command[0]}", *command[1:]],
            log=self.log(name),
            env=self.env,
            cwd=system_under_test.CHECKOUT,
        )

    def launch_command(self, name: str, command: Sequence[str]) -> None:
        """Start any command as a process of the system, and do not wait."""
        self._forget(name)
        self.processes[name] = servers_guard.Guarded(
            command, log=self.log(name), env=self.env, cwd=system_under_test.CHECKOUT
        )

    def _forget(self, name: str) -> None:
        if name in self.processes:
            self.processes.pop(name).close()

    def close(self) -> None:
        """Stop everything."""
        for child in [child for name in self.processes for child in self.children(name)]:
            child.resume()
        super().close()
        self.databases.dispose()

    # What a client does.

    def submit(
        self, how: acts.How = "sleep", *, role: str = ROLE, order: Mapping[str, Any] | None = None, **act: Any
    ) -> str:
        """Submit an act over REST; gives the job's id."""
        document = {"kind": f"{role}.act", "params": {"how": how, **act}, **(order or {})}
        answer = self.client.post("/v1/jobs", json=document)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["id"])

    def show(self, job_id: str) -> dict[str, Any]:
        """Read a job as a client does."""
        answer = self.client.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == httpx.codes.OK, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def read_log(self, job_id: str, **query: Any) -> dict[str, Any]:
        """Read a job's lines as a client does."""
        answer = self.client.get(f"/v1/jobs/{job_id}/logs", params=query)
        assert answer.status_code == httpx.codes.OK, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def await_state(self, job_id: str, *states: str, seconds: float = 30.0) -> dict[str, Any]:
        """Wait until a job is in one of the states (any end when none is named)."""
        wanted = states or ENDS
        until(lambda: self.show(job_id)["state"] in wanted, seconds=seconds, what=lambda: str(self.show(job_id)))
        return self.show(job_id)

    def cancel(self, job_id: str) -> None:
        """Ask for a job to be cancelled."""
        assert self.client.post(f"/v1/jobs/{job_id}/cancel").status_code == httpx.codes.ACCEPTED

    # What only a test sees.

    def row(self, job_id: str) -> Any:
        """Read a job's row."""
        with self.databases[ids.role_of(job_id) or ""].statements.connect() as connection:
            return connection.execute(sa.select(tables.jobs).where(tables.jobs.c.id == job_id)).one()

    def children_of(self, job_id: str) -> list[str]:
        """Return the ids of the jobs that a job has submitted."""
        with self.databases[ids.role_of(job_id) or ""].statements.connect() as connection:
            return list(
                connection.execute(sa.select(tables.jobs.c.id).where(tables.jobs.c.parent_id == job_id)).scalars()
            )

    def effects(self, role: str = ROLE) -> dict[str, int]:
        """Count the effects of a role's jobs, by job."""
        with self.databases[role].statements.connect() as connection:
            counted = sa.select(acts.effects.c.job_id, sa.func.count()).group_by(acts.effects.c.job_id)
            return {row[0]: row[1] for row in connection.execute(counted)}

    def children(self, name: str) -> list[psutil.Process]:
        """Return the processes that a worker's pool has now."""
        try:
            children = psutil.Process(self.processes[name].pid).children()
            return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def working_child(self, job_id: str) -> psutil.Process:
        """Return the process that works on a job."""
        return psutil.Process(int(self.row(job_id).lease_owner.rpartition("/")[2]))

    def text_of_logs(self) -> str:
        """Read what all processes have logged."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.home.glob("*.log")))

    def text_of_log(self, name: str) -> str:
        """Read what one process has logged."""
        return self.log(name).read_text(errors="replace")

    def put_message(self, body: str | bytes, *, role: str = ROLE, **properties: Any) -> None:
        """Publish a message to a role's queue, whatever it is."""
        with broker.connect(self.config) as connection:
            producer = kombu.Producer(connection.channel(), serializer=None)
            producer.publish(body, exchange="", routing_key=role, **properties)

    def ring(self, job_id: str, **changes: Any) -> None:
        """Ring once more for a job."""
        with broker.connect(self.config) as connection:
            bell = ledger.Doorbell(job_id, f"{ids.role_of(job_id)}.act", **changes)
            broker.ring(connection.channel(), bell, amqp=broker.is_amqp(self.config))

    def flush_redis(self) -> None:
        """Let Redis forget everything."""
        url = self.config.effective_redis_url()
        with redis.Redis.from_url(url, socket_timeout=10) as client:
            client.flushall()


def _settings(home: pathlib.Path, *, database_url: str, broker_url: str, redis_url: str) -> settings.Settings:
    return settings.Settings(
        home=home, database_url=database_url, broker_url=broker_url, redis_url=redis_url, database_urls={}
    )


def until(ready: Callable[[], bool], *, seconds: float, what: Callable[[], str] | str = "it") -> None:
    """Wait until something is so; fails with what there was instead."""
    limit = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < limit, f"not within {seconds} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.1)


def rabbitmqctl(node: servers_rabbitmq.PrivateRabbitMQ, *arguments: str) -> str:
    """Run rabbitmqctl on a node of our own."""
    command = [str(servers_rabbitmq.find_scripts() / "rabbitmqctl"), "-q", *arguments]
    return subprocess.run(command, env=node._env, capture_output=True, text=True, timeout=60, check=True).stdout


def kill_9(processes: Iterable[psutil.Process]) -> None:
    """Kill processes that may have ended already."""
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
