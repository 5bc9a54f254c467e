"""Joins and aggregates a Parquet file of ten million rows, and fails when a process needs more than 1,250 MB.

Run as `python -m benchmarks.memory_join`. For each job it prints the seconds and the peak of resident memory. A fifth
of the rows suffices to see that the memory doesn't follow them: `--rows 2000000`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.memory_predict import read_peak_mb
from shared import contract
from shared.ml import frames
from shared.processing.aggregates import AggregateDataset
from shared.processing.joins import JoinDatasets
from workers.processing.aggregates.aggregate import aggregate_table
from workers.processing.joins.join import join_tables

ROOT = Path(__file__).resolve().parents[1]
MAX_MB = 1_250
GROUP_ROWS = 131_072
JOIN = {"name": "made", "left": "visits@1", "right": "prices@1", "on": ["customer"], "suffix": "_right"}
AGGREGATE = {"name": "made", "dataset": "visits@1", "by": ["customer"]}
SUM = {"function": "sum", "column": "x"}
JOBS: dict[str, dict[str, Any]] = {
    "join with 5 rows a customer": {**JOIN, "how": "full"},
    "join as of a time": {**JOIN, "as_of": {"left": "at", "right": "at"}},
    "measures of customers": {
        **AGGREGATE,
        "measures": [SUM, {"function": "median", "column": "x"}, {"function": "count_distinct", "column": "text"}],
    },
    "measures of customers and days": {
        **AGGREGATE,
        "window": {"time": "at", "every": "1d"},
        "measures": [SUM, {"function": "last", "column": "text"}],
    },
    "measures of the 30 days before each row": {
        **AGGREGATE,
        "window": {"time": "at", "length": "30d"},
        "measures": [SUM, {"function": "mean", "column": "x"}, {"function": "count"}],
    },
}


def main() -> int:
    """Make the data, do each job in a process of its own, and check the memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="how many rows to join and aggregate")
    parser.add_argument("--threads", type=int, default=2, help="how many threads a process may use")
    parser.add_argument("--do", nargs=2, metavar=("JOB", "FOLDER"), help="do a job on the parent's files, and exit")
    arguments = parser.parse_args()
    if arguments.do:
        return do(*arguments.do, threads=arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        for file, rows in (("visits", arguments.rows), ("prices", arguments.rows // 2)):
            write_dataset(Path(name) / file, rows=rows, customers=arguments.rows // 10)
        print(f"{arguments.rows:,} rows, {arguments.threads} threads")
        peaks = [measure(job, name, threads=arguments.threads) for job in JOBS]
    return 1 if max(peaks) > MAX_MB else 0


def write_dataset(path: Path, *, rows: int, customers: int) -> None:
    """Write customers beyond 2^53, times of a year, a text and a number, in any order, group by group."""
    random = np.random.default_rng(rows)
    schema = pa.schema([(name, frames.PHYSICAL_TYPES[kind]) for name, kind in COLUMNS.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, GROUP_ROWS):
            size = min(GROUP_ROWS, rows - start)
            columns = [
                random.integers(2**53, 2**53 + customers, size),
                random.integers(0, 365 * 86_400_000_000, size),
                [f"{number:020x}" for number in random.integers(0, 2**62, size)],
                random.standard_normal(size),
            ]
            arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


COLUMNS: dict[str, contract.ColumnType] = {
    "customer": "integer",
    "at": "timestamp",
    "text": "string",
    "x": "number",
}


def measure(job: str, folder: str, *, threads: int) -> float:
    """Do a job in a child process, and return its peak in MB."""
    command = [sys.executable, "-m", "benchmarks.memory_join", "--threads", str(threads), "--do", job, folder]
    result = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    print(f"{job}: {result['seconds']:.1f} s, peak {result['peak_mb']:.0f} MB of {MAX_MB} MB, rows {result['rows']:,}")
    return float(result["peak_mb"])


def do(job: str, text: str, *, threads: int) -> int:
    """Do a job as a worker does, and print time and memory."""
    started, folder = time.monotonic(), Path(text)
    visits, prices = (_pin(folder / name, name) for name in ("visits", "prices"))
    with tempfile.TemporaryDirectory(dir=folder) as name:
        paths: dict[str, Any] = {"output_path": Path(name) / "made", "scratch": Path(name), "threads": threads}
        if "right" in JOBS[job]:
            rows = join_tables(
                JoinDatasets.model_validate(JOBS[job]),
                left=visits,
                right=prices,
                left_path=folder / "visits",
                right_path=folder / "prices",
                **paths,
            ).table.rows
        else:
            command = AggregateDataset.model_validate(JOBS[job])
            rows = aggregate_table(command, dataset=visits, path=folder / "visits", **paths).table.rows
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - started, "peak_mb": read_peak_mb()}))
    return 0


def _pin(path: Path, name: str) -> contract.DatasetPin:
    rows, columns = frames.count_rows(path), frames.read_columns(path)
    return contract.DatasetPin(
        name=name, version=1, key=name, sha256="", rows=rows, bytes=path.stat().st_size, columns=columns
    )


if __name__ == "__main__":
    sys.exit(main())
