"""Measures `make up`: seconds and processor time until it is ready, and then its memory (Linux).

    python -m benchmarks.up [--rounds 5] [--beside ../other-checkout]

Each round starts every checkout once, in turn, with a home and ports of its own. Memory is the proportional set size,
in which a page that n processes share counts for each as one nth.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator

import psutil

from benchmarks import measures
from tests import servers_sources

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_SETTLE_SECONDS = 3.0


_PORTS = ("MILLRACE_API_PORT", "MILLRACE_INFERENCE_PORT", "MILLRACE_FLOWER_PORT")


@dataclasses.dataclass(frozen=True)
class Sample:
    """What one start has taken."""

    seconds: float
    cpu_seconds: float
    pss_megabytes: float
    processes: int
    lines: int
    stop_seconds: float


@contextlib.contextmanager
def _running(checkout: pathlib.Path, home: str) -> Iterator[subprocess.Popen[str]]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
    ports = {name: str(servers_sources.free_port()) for name in _PORTS}
    with subprocess.Popen(
        [checkout / ".venv/bin/python", "-m", "deploy.up"],
        cwd=checkout,
        env={**plain, **ports, "MILLRACE_HOME": home},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def _cpu_seconds(tree: list[psutil.Process]) -> float:
    """Add up the time of processes, and of those that they have started and that have ended."""
    times = [process.cpu_times() for process in tree]
    return sum(one.user + one.system + one.children_user + one.children_system for one in times)


def _pss_megabytes(tree: list[psutil.Process]) -> float:
    total = 0
    for process in tree:
        for line in pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def measure(checkout: pathlib.Path) -> Sample:
    """Start a checkout, wait until it is ready, and stop it."""
    with tempfile.TemporaryDirectory() as home, _running(checkout, home) as process:
        began = time.monotonic()
        lines = 0
        for line in process.stdout or ():
            lines += 1
            if "ready http" in line:
                break
        else:
            sys.exit(f"{checkout} ended before it was ready")
        seconds = time.monotonic() - began
        tree = measures.find_tree(process.pid)
        cpu_seconds = _cpu_seconds(tree)
        time.sleep(_SETTLE_SECONDS)
        tree = measures.find_tree(process.pid)
        pss_megabytes = _pss_megabytes(tree)
        stopping = time.monotonic()
        process.send_signal(signal.SIGINT)
        for _ in process.stdout or ():
            pass
        process.wait()
        return Sample(seconds, cpu_seconds, pss_megabytes, len(tree), lines, time.monotonic() - stopping)


def main() -> None:
    """Print a line per start, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--beside", type=pathlib.Path, help="another checkout, measured in the same rounds")
    arguments = parser.parse_args()
    checkouts = [_ROOT, *([arguments.beside.resolve()] if arguments.beside else [])]
    samples: dict[pathlib.Path, list[Sample]] = {checkout: [] for checkout in checkouts}
    fields = [field.name for field in dataclasses.fields(Sample)]
    print("  ".join(f"{name:>14}" for name in fields))
    for _ in range(arguments.rounds):
        for checkout in checkouts:
            sample = measure(checkout)
            samples[checkout].append(sample)
            print(_format(dataclasses.astuple(sample)), checkout, flush=True)
    print("\nmedians")
    for checkout in checkouts:
        columns = zip(*map(dataclasses.astuple, samples[checkout]), strict=True)
        print(_format([measures.median(column) for column in columns]), checkout)


def _format(figures: Iterable[float]) -> str:
    return "  ".join(f"{figure:14.2f}" for figure in figures)


if __name__ == "__main__":
    main()
