"""`make bench-jobs`: no-op jobs over REST to their end, against bare Celery and Procrastinate, in one run.

All systems get the same RabbitMQ and PostgreSQL and two worker processes, run alone, and take turns for several
rounds; medians of the rounds are compared. Rates are jobs divided by the seconds from the first send to the last end;
latencies run from the send to the end of a job (benchmarks/millrace.py says what an end is). Polls and submits are
timed in turns on the same connections. Absolute figures depend on the machine; trust the ratios.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence

from benchmarks import measures, millrace, peers
from tests import servers, servers_postgres, servers_redis

CLIENTS = 16
BATCH = 100
BATCH_CLIENTS = 4
FEWEST_JOBS = BATCH * BATCH_CLIENTS
WORKER_PROCESSES = 2


@dataclasses.dataclass
class Results:
    """The measurements of all rounds, by the name of what was measured."""

    runs: dict[str, list[measures.Run]] = dataclasses.field(default_factory=dict)
    values_ms: dict[str, list[list[float]]] = dataclasses.field(default_factory=dict)

    def rate(self, name: str) -> float:
        """Compute the median over the rounds of jobs per second."""
        return measures.median(run.rate for run in self.runs[name])

    def latency_ms(self, name: str, share: float) -> float:
        """Compute the median over the rounds of a percentile of the latency."""
        return measures.median(run.latency_ms(share) for run in self.runs[name])

    def value_ms(self, name: str, share: float) -> float:
        """Compute the median over the rounds of a percentile of single values."""
        return measures.median(measures.percentile(values, share) for values in self.values_ms[name])

    def cpu_microseconds(self, name: str) -> dict[str, float]:
        """Compute the median over the rounds of processor time per job, by group of processes."""
        rounds = [run.cpu_microseconds() for run in self.runs[name]]
        return {group: measures.median(times[group] for times in rounds) for group in rounds[0]}


CELERY = "Celery with confirms, 1 producer"
PROCRASTINATE = "Procrastinate, 1 producer"
PROCRASTINATE_BATCH = f"Procrastinate, 1 producer, batches of {BATCH}"
ONE = "Millrace, 1 client"
MANY = f"Millrace, {CLIENTS} clients"
BATCHES = f"Millrace, 1 client, batches of {BATCH}"
MANY_BATCHES = f"Millrace, {BATCH_CLIENTS} clients, batches of {BATCH}"
PATIENT, HASTY, CROWD = "1 client that pauses", "1 client without pause", f"{CLIENTS} clients without pause"
POLLS = ((PATIENT, 1, 0.02), (HASTY, 1, 0.0), (CROWD, CLIENTS, 0.0))
"""Who submits and polls in turns: a name, how many clients, and how many seconds each pauses before a request."""


class Bench:
    """The systems that take turns."""

    def __init__(self, *, jobs: int) -> None:
        """Measure with this many jobs a turn."""
        self._jobs = jobs
        self.results = Results()

    def round(self, system: millrace.Millrace, celery: peers.Celery, procrastinate: peers.Procrastinate) -> None:
        """Measure each system once."""
        jobs = self._jobs
        self._run(CELERY, lambda: celery.measure(jobs))
        self._run(PROCRASTINATE, lambda: procrastinate.measure(jobs // 2))
        self._run(PROCRASTINATE_BATCH, lambda: procrastinate.measure(jobs // 2, batch=BATCH))
        with system.running():
            self._run(ONE, lambda: system.measure(jobs // 2, clients=1))
            self._run(MANY, lambda: system.measure(jobs, clients=CLIENTS))
            self._run(BATCHES, lambda: system.measure(jobs, clients=1, batch=BATCH))
            self._run(MANY_BATCHES, lambda: system.measure(jobs, clients=BATCH_CLIENTS, batch=BATCH))
            for name, clients, pause_seconds in POLLS:
                polls = system.measure_polls(jobs // 4, clients=clients, pause_seconds=pause_seconds)
                self._note(f"submit, {name}", polls.submit_ms)
                self._note(f"poll, {name}", polls.poll_ms)
            self._note("seen", system.measure_polled_ms(jobs // 10))

    def _run(self, name: str, measure: Callable[[], measures.Run]) -> None:
        run = measure()
        self.results.runs.setdefault(name, []).append(run)
        sys.stderr.write(f"  {name}: {run.rate:,.0f} jobs/s, p50 {run.latency_ms(0.5):.1f} ms\n")

    def _note(self, name: str, values_ms: list[float]) -> None:
        self.results.values_ms.setdefault(name, []).append(values_ms)


@dataclasses.dataclass(frozen=True)
class Target:
    """A ratio that is to be reached."""

    what: str
    ratio: float
    limit: float
    at_most: bool = False

    def is_met(self) -> bool:
        """Return whether the target was reached."""
        return self.ratio <= self.limit if self.at_most else self.ratio >= self.limit


def list_targets(results: Results) -> list[Target]:
    """List the targets with the measured ratios."""
    celery, many, batches = results.rate(CELERY), results.rate(MANY), results.rate(BATCHES)
    latency = results.latency_ms(ONE, 0.5) / results.latency_ms(CELERY, 0.5)
    polls = [
        Target(
            f"p50 of a poll / of a submit, {name}",
            results.value_ms(f"poll, {name}", 0.5) / results.value_ms(f"submit, {name}", 0.5),
            1 / 3,
            at_most=True,
        )
        for name, *_ in POLLS
    ]
    return [
        Target(f"jobs/s, {CLIENTS} clients / bare Celery", many / celery, 1.0),
        Target(f"jobs/s, {CLIENTS} clients / Procrastinate", many / results.rate(PROCRASTINATE), 1.5),
        Target(f"jobs/s, batches of {BATCH} / bare Celery", batches / celery, 1.5),
        Target("p50 submit to done, 1 client / bare Celery", latency, 4.0, at_most=True),
        *polls,
    ]


def format_report(results: Results, *, profile: bool) -> Iterator[str]:
    """Format the lines of the tables."""
    yield f"{'no-op jobs, medians':<44} {'jobs/s':>8} {'best':>8} {'p50 ms':>9} {'p99 ms':>9} {'client CPU µs/job':>18}"
    for name, runs in results.runs.items():
        best, client = max(run.rate for run in runs), results.cpu_microseconds(name)["client"]
        p50, p99 = results.latency_ms(name, 0.5), results.latency_ms(name, 0.99)
        yield f"{name:<44} {results.rate(name):8,.0f} {best:8,.0f} {p50:9.1f} {p99:9.1f} {client:18,.0f}"
    yield ""
    yield f"{'single requests':<53} {'':>8} {'p50 ms':>9} {'p99 ms':>9}"
    for name in results.values_ms:
        label = {"seen": "submit to end, seen by a client that polls without pause"}.get(name, name)
        yield f"{label:<62} {results.value_ms(name, 0.5):9.2f} {results.value_ms(name, 0.99):9.2f}"
    yield ""
    yield f"{'target':<53} {'measured':>9} {'to reach':>10}"
    for target in list_targets(results):
        sign = "≤" if target.at_most else "≥"
        met = "met" if target.is_met() else "NOT met"
        yield f"{target.what:<53} {target.ratio:9.2f} {sign:>5} {target.limit:4.2f}  {met}"
    if profile:
        yield ""
        yield "processor time, µs per job"
        for name in results.runs:
            times = ", ".join(f"{group} {value:,.0f}" for group, value in results.cpu_microseconds(name).items())
            yield f"{name}: {times}"


def open_postgres(stack: contextlib.ExitStack) -> servers_postgres.Postgres:
    """Find a PostgreSQL that syncs its commits, which those that tests start don't."""
    location = servers_postgres.locate()
    is_private = location.source in (servers.Source.BINARIES, servers.Source.WHEEL)
    return stack.enter_context(servers.private_postgres(durable=True) if is_private else location.open())


def open_redis(stack: contextlib.ExitStack) -> servers_redis.Redis:
    """Find a Redis."""
    return stack.enter_context(servers.find_redis())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 when a target is not met and --strict is given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=3200, help=f"jobs a turn, at least {FEWEST_JOBS} (default 3200)")
    parser.add_argument("--profile", action="store_true", help="show where the processor time goes")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is not met")
    arguments = parser.parse_args(argv)
    if arguments.jobs < FEWEST_JOBS:
        parser.error(f"--jobs {arguments.jobs}: at least {FEWEST_JOBS} are needed, a batch of {BATCH} a client")
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-bench-")))
        postgres = open_postgres(stack)
        rabbitmq = stack.enter_context(servers.find_rabbitmq())
        celery = peers.Celery(folder, broker_url=rabbitmq.create_vhost(), processes=WORKER_PROCESSES)
        procrastinate = peers.Procrastinate(folder, postgres=postgres, processes=WORKER_PROCESSES)
        system = millrace.Millrace(
            folder,
            postgres=postgres,
            broker_url=rabbitmq.create_vhost(),
            redis_url=open_redis(stack).url,
            processes=WORKER_PROCESSES,
        )
        stack.callback(system.close)
        print(
            f"Celery {celery.version}, Procrastinate {procrastinate.version}, PostgreSQL {postgres.version}, "
            f"RabbitMQ {rabbitmq.version}, Python {sys.version.split()[0]}, {os.cpu_count()} cores, "
            f"load before {os.getloadavg()[0]:.1f}, {WORKER_PROCESSES} worker processes each"
        )
        bench = Bench(jobs=arguments.jobs)
        for number in range(arguments.rounds):
            sys.stderr.write(f"round {number + 1} of {arguments.rounds}\n")
            bench.round(system, celery, procrastinate)
    for line in format_report(bench.results, profile=arguments.profile):
        print(line)
    return int(arguments.strict and not all(target.is_met() for target in list_targets(bench.results)))


if __name__ == "__main__":
    sys.exit(main())
