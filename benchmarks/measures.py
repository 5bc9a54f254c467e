"""What one run of a benchmark measured, and how it is summed up."""

import dataclasses
import math
import os
import statistics
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence

import psutil


@dataclasses.dataclass
class Run:
    """Jobs that were sent, and when: seconds since the epoch, sent and done in the same order."""

    sent: list[float]
    done: list[float]
    cpu_seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Jobs per second, from the first send to the last end."""
        return len(self.done) / (max(self.done) - min(self.sent))

    def latency_ms(self, share: float) -> float:
        """Give the percentile of the milliseconds from send to end; `share` is 0.5 for the median."""
        return percentile([(done - sent) * 1000 for sent, done in zip(self.sent, self.done, strict=True)], share)

    def cpu_microseconds(self) -> dict[str, float]:
        """Processor time per job, by group of processes."""
        return {group: seconds * 1e6 / len(self.done) for group, seconds in self.cpu_seconds.items()}


def percentile(values: Sequence[float], share: float) -> float:
    """Give the nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def median(values: Iterable[float]) -> float:
    """Give the median."""
    return statistics.median(values)


Groups = Mapping[str, Callable[[], list[psutil.Process]]]


class Processors:
    """Processor time that the client and groups of processes took between entering and leaving."""

    def __init__(self, groups: Groups) -> None:
        """Keep the groups, each as a function that finds its processes."""
        self._groups = groups
        self._before: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> "Processors":
        """Take the first reading."""
        self._before = self._read()
        return self

    def __exit__(self, fault: type[BaseException] | None, *_: object) -> None:
        """Take the second, unless something went wrong: then the processes may be gone."""
        if fault is not None:
            return
        self.seconds = {name: seconds - self._before.get(name, 0.0) for name, seconds in self._read().items()}

    def _read(self) -> dict[str, float]:
        # The client is this process, or a command that it ran to its end.
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


def behind(url: str, *, default_port: int) -> list[psutil.Process]:
    """Give the processes of the server behind a URL; none when it is elsewhere or hidden from us."""
    port = urllib.parse.urlsplit(url).port or default_port
    try:
        listening = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return []
    found = [
        each.pid for each in listening if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
    ]
    return [process for pid in set(found) if pid for process in tree(pid)]


def tree(pid: int) -> list[psutil.Process]:
    """Give a process and all below it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def below(pid: int) -> list[psutil.Process]:
    """Give all processes below one."""
    return psutil.Process(pid).children(recursive=True)


def alone(pid: int) -> list[psutil.Process]:
    """Give one process."""
    return [psutil.Process(pid)]
