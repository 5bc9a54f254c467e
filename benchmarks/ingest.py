"""Turns 1 GB of CSV into typed Parquet with a profile, and compares single libraries in the same run.

    python -m benchmarks.ingest [--megabytes 1000] [--rounds 3] [--peers duckdb,duckdb-same,duckdb-store,polars,…]

Millrace is the function that the body of `ingestion.load` calls, in a process of its own; the peers are installed from
a registry into a venv of their own, and those that can't be installed are left out and named. The fastest is chosen
among those that make a profile; `duckdb-store` makes none, and shows what a profile costs. Exits with 1 when a target
is missed.
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
BYTES_PER_ROW = 136
MOST_RATIO, MOST_MEGABYTES, MOST_GROWTH = 1.2, 1000, 2.2
"""The limits: Millrace's seconds divided by the fastest peer's, its peak, and its seconds divided by those for half
of the data."""

Results = dict[str, list[dict[str, Any]]]
"""By the name of what was measured, one document a round."""


def install(engine: str) -> pathlib.Path | None:
    """Install an engine into the peers' venv, and return its Python; None when it can't be installed."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
    process = subprocess.run([python, "-m", "pip", "install", "--quiet", *ENGINES[engine]], check=False)
    return python if process.returncode == 0 else None


def run_json(command: list[Any]) -> dict[str, Any]:
    """Run a command to its end, and return the JSON that it prints."""
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    document: dict[str, Any] = json.loads(process.stdout)
    return document


def measure_millrace(source: pathlib.Path) -> dict[str, Any]:
    """Load a file with Millrace's function."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        link = pathlib.Path(folder) / "table"
        link.hardlink_to(source)
        return run_json([sys.executable, "-m", "benchmarks.memory_load", "--child", link])


def measure_peer(python: pathlib.Path, engine: str, source: pathlib.Path) -> dict[str, Any]:
    """Load a file with a peer."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        return run_json([python, HERE / "ingest_peers.py", engine, source, pathlib.Path(folder) / "out.parquet"])


def measure(folder: pathlib.Path, *, megabytes: int, rounds: int, engines: list[str]) -> Results:
    """Measure all in turns, so that whatever else the machine does affects all equally."""
    full, half = folder / "full.csv", folder / "half.csv"
    for path, share in ((full, 1.0), (half, 0.5)):
        memory_load.make_file(path, rows=int(megabytes * 1e6 * share / BYTES_PER_ROW), file_format="csv")
        print(f"{path.stem}: {path.stat().st_size / 1e6:,.0f} MB", flush=True)
    pythons = {engine: install(engine) for engine in engines}
    os.sync()  # Otherwise the first measurement would share the disk with the writing of these files.
    results: Results = {}
    for _ in range(rounds):
        results.setdefault("millrace", []).append(measure_millrace(full))
        results.setdefault("millrace, half", []).append(measure_millrace(half))
        for engine, python in pythons.items():
            if python is not None:
                results.setdefault(engine, []).append(measure_peer(python, engine, full))
    missing = [engine for engine, python in pythons.items() if python is None]
    print(f"Not measured, because they can't be installed here: {', '.join(missing)}" if missing else "", flush=True)
    return results


def judge(results: Results) -> bool:
    """Print the table and the targets; return whether all targets are met."""
    seconds = {name: statistics.median(run["seconds"] for run in runs) for name, runs in results.items()}
    peaks = {name: max(run["peak_megabytes"] for run in runs) for name, runs in results.items()}
    peers = [name for name in results if not name.startswith("millrace") and name not in WITHOUT_PROFILE]
    fastest = min((seconds[name] for name in peers), default=seconds["millrace"])
    print(f"{'':18}{'seconds':>9}{'peak MB':>9}{'ratio':>7}   version, all seconds")
    for name, runs in results.items():
        all_seconds = ", ".join(f"{run['seconds']:.1f}" for run in runs)
        version = runs[0].get("version", "") + (", no profile" if name in WITHOUT_PROFILE else "")
        print(
            f"{name:18}{seconds[name]:9.1f}{peaks[name]:9.0f}{seconds[name] / fastest:7.2f}   {version} ({all_seconds})"
        )
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
    """Measure all, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(ENGINES))
    parser.add_argument("--folder", type=pathlib.Path, help="folder for the files; they need three times --megabytes")
    arguments = parser.parse_args()
    engines = [engine for engine in arguments.peers.split(",") if engine in ENGINES]
    print(f"{os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory(prefix="millrace-ingest-", dir=arguments.folder) as folder:
        results = measure(pathlib.Path(folder), megabytes=arguments.megabytes, rounds=arguments.rounds, engines=engines)
    return 0 if judge(results) else 1


if __name__ == "__main__":
    sys.exit(main())
