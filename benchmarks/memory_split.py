"""Splits a Parquet file of ten million rows by each rule, and fails when a process needs more than 900 MB.

Run as `python -m benchmarks.memory_split`. For each rule it prints the seconds and the peak of resident memory. A fifth
of the rows suffices to see that the memory doesn't follow them: `--rows 2000000`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.memory_predict import read_peak_mb
from shared.processing.splits import SplitBy
from workers.processing.splits.split import Part, split_table

ROOT = Path(__file__).resolve().parents[1]
MAX_MB = 900
GROUP_ROWS = 131_072
PARTS = {"train": 0.7, "valid": 0.15, "test": 0.15}
RULES: dict[str, dict[str, str]] = {
    "random": {},
    "stratify": {"stratify": "class"},
    "group of 10 rows": {"group": "user"},
    "group of 1 row": {"group": "id"},
    "time": {"time": "at"},
}


def main() -> int:
    """Make the data, split it by each rule in a process of its own, and check the memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="how many rows to split")
    parser.add_argument("--threads", type=int, default=2, help="how many threads a process may use")
    parser.add_argument("--in-one-group", action="store_true", help="put all rows into one row group")
    parser.add_argument("--split", nargs=2, metavar=("RULE", "FILE"), help="split the parent's file, and exit")
    arguments = parser.parse_args()
    if arguments.split:
        return split(*arguments.split, threads=arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "data.parquet"
        write_dataset(path, rows=arguments.rows, group_rows=arguments.rows if arguments.in_one_group else GROUP_ROWS)
        print(f"{arguments.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB, {arguments.threads} threads")
        peaks = [measure(rule, path, threads=arguments.threads) for rule in RULES]
    return 1 if max(peaks) > MAX_MB else 0


def write_dataset(path: Path, *, rows: int, group_rows: int) -> None:
    """Write ids beyond 2^53 in any order, users, classes, times, a text and four numbers, group by group."""
    random, users = np.random.default_rng(0), max(1, rows // 10)
    ids = random.permutation(rows) + 2**53
    writer = None
    for start in range(0, rows, GROUP_ROWS):
        size = min(GROUP_ROWS, rows - start)
        table = pa.table(
            {
                "id": ids[start : start + size],
                "user": random.integers(2**53, 2**53 + users, size),
                "class": np.array(["common", "seldom", "rare"])[random.choice(3, size, p=[0.9, 0.099, 0.001])],
                "at": pa.array(random.integers(0, 10**15, size), pa.timestamp("us", tz="UTC")),
                "text": [f"{number:020x}" for number in random.integers(0, 2**62, size)],
                **{f"x{number}": random.standard_normal(size) for number in range(4)},
            }
        )
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    if group_rows != GROUP_ROWS:
        parquet.write_table(parquet.read_table(path), path, row_group_size=group_rows)


def measure(rule: str, path: Path, *, threads: int) -> float:
    """Split the file in a child process, and return its peak in MB."""
    command = [sys.executable, "-m", "benchmarks.memory_split", "--threads", str(threads), "--split", rule, str(path)]
    result = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    print(f"{rule}: {result['seconds']:.1f} s, peak {result['peak_mb']:.0f} MB of {MAX_MB} MB, rows {result['rows']}")
    return float(result["peak_mb"])


def split(rule: str, path: str, *, threads: int) -> int:
    """Split as a worker does, and print time and memory."""
    started, by = time.monotonic(), RULES[rule]
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as name:
        folder = Path(name)
        divided = split_table(
            Path(path),
            parts=[Part(part, share, folder / part) for part, share in PARTS.items()],
            by=SplitBy(**by) if by else None,
            seed=0,
            scratch=folder,
            threads=threads,
        )
    rows = [table.rows for table in divided.tables]
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - started, "peak_mb": read_peak_mb()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
