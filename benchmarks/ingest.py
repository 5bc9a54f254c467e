"""Turns 1 GB of CSV into typed Parquet with a profile, beside single libraries in the same run.

    python -m benchmarks.ingest [--megabytes 1000] [--rounds 3] [--peers duckdb,duckdb-same,duckdb-store,polars,…]

Ours is the function that the task of `ingestion.load` calls, in a process of its own; the peers come from a registry
into a venv of their own, and those that can't be had are left out and named. The fastest is sought among those that
make a profile; `duckdb-store` makes none, and is there to show what one costs. Exits with 1 when a target is missed.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import memory_load

HERE = pathlib.Path(__file__).parent
PEERS = HERE / ".peers" / "ingest"
ENGINES = {
    "duckdb": ["duckdb", "pytz"],
    "duckdb-same": ["duckdb", "pytz"],
    "duckdb-store": ["duckdb", "pytz"],
    "polars": ["polars"],
    "pandas": ["pandas", "pyarrow"],
    "pyarrow": ["pyarrow"],
}
"""Each peer with the packages that it needs."""
WITHOUT_PROFILE = {"duckdb-store"}
BYTES_A_ROW = 136
MOST_RATIO, MOST_MEGABYTES, MOST_GROWTH = 1.2, 1000, 2.2
"""Our seconds beside the fastest peer's, our peak, and our seconds beside those for half of the data."""

Measured = dict[str, list[dict[str, Any]]]


def installed(engine: str) -> pathlib.Path | None:
    """Give the Python of the peers' venv once it has an engine; None when that can't be had."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", *ENGINES[engine]], check=False)
    return python if done.returncode == 0 else None


def answer_of(command: list[Any]) -> dict[str, Any]:
    """Run a command to its end, and give the JSON that it prints."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measure_ours(source: pathlib.Path) -> dict[str, Any]:
    """Load a file with our own function."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        linked = pathlib.Path(folder) / "table"
        linked.hardlink_to(source)
        return answer_of([sys.executable, "-m", "benchmarks.memory_load", "--child", linked])


def measure_peer(python: pathlib.Path, engine: str, source: pathlib.Path) -> dict[str, Any]:
    """Load a file with a peer."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        return answer_of([python, HERE / "ingest_peers.py", engine, source, pathlib.Path(folder) / "out.parquet"])


def measure(folder: pathlib.Path, *, megabytes: int, rounds: int, engines: list[str]) -> Measured:
    """Take turns, so that what the machine does meanwhile hits all alike."""
    whole, half = folder / "whole.csv", folder / "half.csv"
    for path, share in ((whole, 1.0), (half, 0.5)):
        memory_load.make_file(path, rows=int(megabytes * 1e6 * share / BYTES_A_ROW), form="csv")
        print(f"{path.stem}: {path.stat().st_size / 1e6:,.0f} MB", flush=True)
    pythons = {engine: installed(engine) for engine in engines}
    os.sync()  # Else the first to be measured would share the disk with what is left to write of these.
    found: Measured = {}
    for _ in range(rounds):
        found.setdefault("millrace", []).append(measure_ours(whole))
        found.setdefault("millrace, half", []).append(measure_ours(half))
        for engine, python in pythons.items():
            if python is not None:
                found.setdefault(engine, []).append(measure_peer(python, engine, whole))
    missing = [engine for engine, python in pythons.items() if python is None]
    print(f"Not measured, because not to be had here: {', '.join(missing)}" if missing else "", flush=True)
    return found


def judge(found: Measured) -> bool:
    """Print the table and the targets; gives whether all of them are met."""
    seconds = {name: statistics.median(one["seconds"] for one in runs) for name, runs in found.items()}
    peaks = {name: max(one["peak_megabytes"] for one in runs) for name, runs in found.items()}
    peers = [name for name in found if not name.startswith("millrace") and name not in WITHOUT_PROFILE]
    fastest = min((seconds[name] for name in peers), default=seconds["millrace"])
    print(f"{'':18}{'seconds':>9}{'peak MB':>9}{'ratio':>7}   version, all seconds")
    for name, runs in found.items():
        every = ", ".join(f"{one['seconds']:.1f}" for one in runs)
        version = runs[0].get("version", "") + (", no profile" if name in WITHOUT_PROFILE else "")
        print(f"{name:18}{seconds[name]:9.1f}{peaks[name]:9.0f}{seconds[name] / fastest:7.2f}   {version} ({every})")
    growth = seconds["millrace"] / seconds["millrace, half"]
    targets = [
        (seconds["millrace"] / fastest, MOST_RATIO, "times the fastest library"),
        (peaks["millrace"], MOST_MEGABYTES, "MB at the peak"),
        (growth, MOST_GROWTH, "times the seconds for half of the data"),
    ]
    for value, most, what in targets:
        print(f"{'ok' if value <= most else 'MISSED':>8}: {value:.2f} {what}, at most {most}")
    return all(value <= most for value, most, _ in targets)


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(ENGINES))
    parser.add_argument("--folder", type=pathlib.Path, help="where the files go; they need three times --megabytes")
    arguments = parser.parse_args()
    engines = [engine for engine in arguments.peers.split(",") if engine in ENGINES]
    print(f"{os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory(prefix="millrace-ingest-", dir=arguments.folder) as folder:
        found = measure(pathlib.Path(folder), megabytes=arguments.megabytes, rounds=arguments.rounds, engines=engines)
    return 0 if judge(found) else 1


if __name__ == "__main__":
    sys.exit(main())
