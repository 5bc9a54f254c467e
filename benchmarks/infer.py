"""`make bench-infer`: predictions through the queue, beside no-op jobs of the same role in the same run.

Jobs of one row and of 100 rows by a deployment of two weighted versions with a sticky key, and no-op jobs, take turns
for several rounds on the same RabbitMQ and PostgreSQL, with the same clients and two worker processes. A rate is jobs
(or rows) divided by the seconds from the first send to the last end. Absolute figures depend on the machine.
"""

import argparse
import contextlib
import os
import pathlib
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import psycopg

from benchmarks import http_load, jobs, measures, peers
from tests import servers, system_under_test
from tests.integration import sample_data

ROLE = "prediction"
CLIENTS, PROCESSES, ROWS = 16, 2, 100
NOOP, ONE, MANY = "no-op jobs", "jobs of 1 row", f"jobs of {ROWS} rows"
PATH = "/v1/deployments/great/predictions"
WAIT_SECONDS = 120.0


def list_rows(count: int) -> list[dict[str, Any]]:
    """Make rows like those that the model was trained on."""
    words = ("red", "green", "blue")
    return [{"a": number % 17 / 17, "b": number % 7 / 7, "word": words[number % 3]} for number in range(count)]


REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    NOOP: ("/v1/jobs", {"kind": f"{ROLE}.ping", "params": {}}),
    ONE: (PATH, {"instances": list_rows(1)}),
    MANY: (PATH, {"instances": list_rows(ROWS)}),
}


class Bench:
    """A system that serves a deployment of two versions."""

    def __init__(self, system: system_under_test.System, url: str) -> None:
        """Measure a system that runs; `url` is its role's database."""
        self._system = system
        self._url = url
        self._requests = http_load.Requests(host="127.0.0.1", port=system.port, key=system.key)

    def prepare(self) -> None:
        """Train two versions, and deploy both."""
        client = self._system.client
        headers = {"Content-Type": "text/csv"}
        self._finish(client.post("/v1/datasets/things", content=sample_data.table(rows=2000), headers=headers))
        for strength in (1.0, 0.01):
            estimator = {"name": "LogisticRegression", "params": {"max_iter": 200, "C": strength}}
            self._finish(client.post("/v1/models/greatness", json={**sample_data.TRAINING, "estimator": estimator}))
        routes = [{"model": "greatness@1", "weight": 60}, {"model": "greatness@2", "weight": 40}]
        client.put("/v1/deployments/great", json={"routes": routes, "sticky_key": "word"}).raise_for_status()

    def measure(self, name: str, count: int) -> float:
        """Submit jobs, and return how many ended each second."""
        path, document = REQUESTS[name]
        before = self._count()
        began = time.time()
        scripts = [self._submit(count // CLIENTS, path, document) for _ in range(CLIENTS)]
        http_load.run(("127.0.0.1", self._system.port), scripts)
        total = count // CLIENTS * CLIENTS
        peers.wait_until(lambda: self._count() >= before + total, name)
        with psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT max(finished_at) FROM jobs WHERE state = 'succeeded'").fetchone()
        return float(total / (row[0] / 1000 - began)) if row else 0.0

    def _submit(self, count: int, path: str, document: dict[str, Any]) -> http_load.Script:
        request = self._requests.post(path, document)
        for _ in range(count):
            response = yield request
            if response.status != httpx.codes.ACCEPTED:
                raise peers.PeerError(f"a submit was answered with {response.status}: {response.body[:500]!r}")

    def _count(self) -> int:
        time.sleep(0.2)
        with psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT count(*) FROM jobs WHERE state = 'succeeded'").fetchone()
        return int(row[0]) if row else 0

    def _finish(self, accepted: httpx.Response) -> None:
        accepted.raise_for_status()
        until = time.monotonic() + WAIT_SECONDS
        while self._system.client.get(accepted.headers["Location"]).json()["state"] != "succeeded":
            if time.monotonic() > until:
                raise peers.PeerError(f"{accepted.headers['Location']} did not succeed")
            time.sleep(0.2)


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Bench]:
    """Run a system on servers, and yield its measurements."""
    with contextlib.ExitStack() as stack:
        postgres = jobs.open_postgres(stack)
        rabbitmq = stack.enter_context(servers.find_rabbitmq())
        prefix = f"bench_{secrets.token_hex(4)}_"
        stack.callback(postgres.drop_databases, prefix)
        system = system_under_test.System(
            folder / "millrace",
            database_url=postgres.url(f"{prefix}{{role}}"),
            broker_url=rabbitmq.create_vhost(),
            redis_url=jobs.open_redis(stack).url,
            settings={"MILLRACE_WORKER_CONCURRENCY": str(PROCESSES), "MILLRACE_LOG_LEVEL": "INFO"},
        )
        stack.callback(system.close)
        system.start(["api", "sweeper", "ingestion,training", ROLE])
        url = postgres.url(f"{prefix}{ROLE}").replace("postgresql+psycopg", "postgresql")
        bench = Bench(system, url)
        bench.prepare()
        system.stop(["ingestion,training"])
        for name in REQUESTS:
            bench.measure(name, 10 * CLIENTS)
        yield bench


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 when a target is not met and --strict is given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.infer", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1600, help="jobs a turn (default 1600)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is not met")
    arguments = parser.parse_args(argv)
    rates: dict[str, list[float]] = {name: [] for name in REQUESTS}
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder, running(pathlib.Path(folder)) as bench:
        for number in range(arguments.rounds):
            for name in REQUESTS:
                rates[name].append(bench.measure(name, arguments.jobs))
                sys.stderr.write(f"round {number + 1}, {name}: {rates[name][-1]:,.0f} jobs/s\n")
    medians = {name: measures.median(values) for name, values in rates.items()}
    print(
        f"{os.cpu_count()} cores, {PROCESSES} worker processes, {CLIENTS} clients; medians of {arguments.rounds} rounds"
    )
    for name, rate in medians.items():
        print(f"{name:<24} {rate:10,.0f} jobs/s")
    ratio, predictions = medians[ONE] / medians[NOOP], medians[MANY] * ROWS
    print(f"one row a job / no-op jobs {ratio:.2f} (to reach 0.80); predictions/s {predictions:,.0f} (to reach 20,000)")
    return int(arguments.strict and not (ratio >= 0.8 and predictions >= 20_000))


if __name__ == "__main__":
    sys.exit(main())
