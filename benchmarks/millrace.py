"""Runs Millrace itself for the job benchmark: no-op jobs through REST, with RabbitMQ and PostgreSQL.

A job's end is `finished_at` of its row: PostgreSQL's clock at the statement that ends it. Procrastinate's end is
likewise the time of its event row; Celery's is when the task itself ran, since it stores no end. The commit that
follows, about a millisecond, is in none of the three; `measure_polled_ms` measures what a client sees that polls
without pause.
"""

import contextlib
import dataclasses
import pathlib
import re
import secrets
import time
from collections.abc import Iterator

import psycopg

from benchmarks import http_load, measures, peers
from tests import servers_postgres, system_under_test

ROLE = "evaluation"
JOB = {"kind": f"{ROLE}.ping", "params": {}}
_ID = re.compile(rb'"id": ?"(%s_[0-9A-Z]{26})"' % ROLE.encode())
_ENDED = re.compile(rb'"state": ?"(succeeded|failed|cancelled|dead)"')


@dataclasses.dataclass
class Polls:
    """Milliseconds of single requests, submits and polls in turns on the same connections."""

    submit_ms: list[float] = dataclasses.field(default_factory=list)
    poll_ms: list[float] = dataclasses.field(default_factory=list)


class Millrace:
    """The system under test: one API process, one worker with a pool of processes, the sweeper."""

    name = "Millrace, REST, PostgreSQL and RabbitMQ"

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        postgres: servers_postgres.Postgres,
        broker_url: str,
        redis_url: str,
        processes: int,
    ) -> None:
        """Create its databases; nothing runs yet."""
        self._postgres = postgres
        self._broker_url = broker_url
        self._prefix = f"bench_{secrets.token_hex(4)}_"
        self._system = system_under_test.System(
            folder / "millrace",
            database_url=postgres.url(f"{self._prefix}{{role}}"),
            broker_url=broker_url,
            redis_url=redis_url,
            settings={"MILLRACE_WORKER_CONCURRENCY": str(processes), "MILLRACE_LOG_LEVEL": "INFO"},
        )
        self._system.prepare()
        self._url = postgres.url(f"{self._prefix}{ROLE}").replace("postgresql+psycopg", "postgresql")
        self._address = ("127.0.0.1", self._system.port)
        self._requests = http_load.Requests(host="127.0.0.1", port=self._system.port, key=self._system.key)

    def close(self) -> None:
        """Stop everything and drop the databases."""
        self._system.close()
        self._postgres.drop_databases(self._prefix)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run the system, warmed up, while the block runs."""
        try:
            self._system.start(["api", ROLE, "sweeper"])
            self._run([self._submit(peers.WARM_UP_JOBS // 4, {}) for _ in range(4)])
            yield
        finally:
            self._system.stop()

    def measure(self, count: int, *, clients: int, batch: int = 1) -> measures.Run:
        """Submit jobs, one by one or in batches, with one connection per client; wait for the last end."""
        sent: dict[str, float] = {}
        share = count // clients // batch
        scripts = [self._submit(share, sent, batch=batch) for _ in range(clients)]
        with measures.ProcessorTimes(self._groups()) as times:
            self._run(scripts)
        done = self._read_ends(sent)
        return measures.Run(list(sent.values()), [done[job] for job in sent], times.seconds)

    def measure_polls(self, count: int, *, clients: int, pause_seconds: float = 0.0) -> Polls:
        """Submit and poll in turns, and measure each request.

        Without a pause a poll finds the job that its client has just submitted on its way through the broker and a
        worker. With a pause, which only a single client may make, both polls and submits find an idle system, as those
        of a client do that waits as long as `Retry-After` says.
        """
        polls = Polls()
        self._run([self._submit_and_poll(count // clients, polls, pause_seconds) for _ in range(clients)])
        return polls

    def measure_polled_ms(self, count: int) -> list[float]:
        """Submit a job, poll it without pause until it has ended, and repeat: milliseconds as one client sees them."""
        polled_ms: list[float] = []
        self._run([self._submit_and_watch(count, polled_ms)])
        return polled_ms

    def _run(self, scripts: list[http_load.Script]) -> None:
        http_load.run(self._address, scripts)
        with psycopg.connect(self._url, autocommit=True) as connection:
            peers.wait_until(lambda: _is_drained(connection), "Millrace's jobs")

    def _submit(self, count: int, sent: dict[str, float], *, batch: int = 1) -> http_load.Script:
        path, document = ("/v1/jobs", JOB) if batch == 1 else ("/v1/jobs/batch", {"jobs": [JOB] * batch})
        request = self._requests.post(path, document)
        for _ in range(count):
            response = yield request
            ids = self._read_ids(response)
            if len(ids) != batch:
                raise peers.PeerError(f"{batch} jobs were sent and {len(ids)} ids came back: {response.body[:500]!r}")
            sent.update(dict.fromkeys(ids, response.sent))

    def _submit_and_poll(self, count: int, polls: Polls, pause_seconds: float) -> http_load.Script:
        request = self._requests.post("/v1/jobs", JOB)
        for _ in range(count):
            time.sleep(pause_seconds)
            response = yield request
            polls.submit_ms.append((response.received - response.sent) * 1000)
            time.sleep(pause_seconds)
            response = yield self._requests.get(f"/v1/jobs/{self._read_ids(response)[0]}")
            polls.poll_ms.append((response.received - response.sent) * 1000)

    def _submit_and_watch(self, count: int, polled_ms: list[float]) -> http_load.Script:
        request = self._requests.post("/v1/jobs", JOB)
        for _ in range(count):
            accepted = yield request
            poll = self._requests.get(f"/v1/jobs/{self._read_ids(accepted)[0]}")
            response = yield poll
            while not _ENDED.search(response.body):
                response = yield poll
            polled_ms.append((response.received - accepted.sent) * 1000)

    @staticmethod
    def _read_ids(response: http_load.Response) -> list[str]:
        if response.status != 202:
            raise peers.PeerError(f"a submit was answered with {response.status}: {response.body[:500]!r}")
        return [job_id.decode() for job_id in _ID.findall(response.body)]

    def _read_ends(self, sent: dict[str, float]) -> dict[str, float]:
        """Read when each job ended; PeerError unless all have succeeded."""
        with psycopg.connect(self._url) as connection:
            rows = connection.execute(
                "SELECT id, state, finished_at FROM jobs WHERE id >= %s AND id = ANY(%s)", [min(sent), list(sent)]
            ).fetchall()
        unfinished = [job for job, state, _ in rows if state != "succeeded"]
        if unfinished or len(rows) != len(sent):
            raise peers.PeerError(f"{len(sent)} jobs were accepted, {len(rows)} found, not succeeded: {unfinished[:5]}")
        return {job: finished_at / 1000 for job, _, finished_at in rows}

    def _groups(self) -> measures.Groups:
        pids = {name: process.pid for name, process in self._system.processes.items()}
        worker = pids[ROLE]
        return {
            "API": lambda: measures.find_tree(pids["api"]),
            "worker parent": lambda: measures.find_process(worker),
            "worker children": lambda: measures.find_descendants(worker),
            "sweeper": lambda: measures.find_tree(pids["sweeper"]),
            "RabbitMQ": lambda: measures.find_server(self._broker_url, default_port=5672),
            "PostgreSQL": lambda: measures.find_server(self._url, default_port=5432),
        }


def _is_drained(connection: "psycopg.Connection[tuple[object, ...]]") -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM jobs WHERE state = 'queued') OR EXISTS (SELECT FROM jobs WHERE state = 'running')"
    ).fetchone()
    # Rarely, because each query reads much of the table; the times of the ends are in the rows.
    time.sleep(0.5)
    return row == (False,)
