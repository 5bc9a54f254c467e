"""The measurements of a benchmark's run, and their summaries."""

import dataclasses
import math
import os
import statistics
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence

import psutil


@dataclasses.dataclass
class Run:
    """When jobs were sent and done, in seconds since the epoch, both in the same order."""

    sent: list[float]
    done: list[float]
    cpu_seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def rate(self) -> float:
        """The jobs per second, from the first send to the last end."""
        return len(self.done) / (max(self.done) - min(self.sent))

    def latency_ms(self, share: float) -> float:
        """Compute a percentile of the milliseconds from send to end; `share` is 0.5 for the median."""
        return percentile([(done - sent) * 1000 for sent, done in zip(self.sent, self.done, strict=True)], share)

    def cpu_microseconds(self) -> dict[str, float]:
        """Compute the processor time per job, by group of processes."""
        return {group: seconds * 1e6 / len(self.done) for group, seconds in self.cpu_seconds.items()}


def percentile(values: Sequence[float], share: float) -> float:
    """Compute the nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def median(values: Iterable[float]) -> float:
    """Compute the median."""
    return statistics.median(values)


Groups = Mapping[str, Callable[[], list[psutil.Process]]]


class ProcessorTimes:
    """Measures the processor time of the client and of groups of processes while its block runs."""

    def __init__(self, groups: Groups) -> None:
        """Keep the groups, each as a function that finds its processes."""
        self._groups = groups
        self._before: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> "ProcessorTimes":
        """Take the first reading."""
        self._before = self._read()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Take the second reading, unless the block raised: then the processes may be gone."""
        if error is not None:
            return
        self.seconds = {name: seconds - self._before.get(name, 0.0) for name, seconds in self._read().items()}

    def _read(self) -> dict[str, float]:
        # The client is this process, or a command that it has run to its end.
        times = os.times()
        client = times.user + times.system + times.children_user + times.children_system
        return {"client": client} | {name: total_seconds(find()) for name, find in self._groups.items()}


def total_seconds(processes: Iterable[psutil.Process]) -> float:
    """Add up user and system time of processes that still run."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def find_server(url: str, *, default_port: int) -> list[psutil.Process]:
    """Find the processes of the server at a URL; none when it is on another host, or we may not see it."""
    port = urllib.parse.urlsplit(url).port or default_port
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return []
    pids = {
        connection.pid
        for connection in connections
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
    }
    return [process for pid in pids if pid for process in find_tree(pid)]


def find_tree(pid: int) -> list[psutil.Process]:
    """Find a process and all its descendants."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def find_descendants(pid: int) -> list[psutil.Process]:
    """Find all descendants of a process."""
    return psutil.Process(pid).children(recursive=True)


def find_process(pid: int) -> list[psutil.Process]:
    """Find one process, without its descendants."""
    return [psutil.Process(pid)]
