"""Loads a CSV of about 1 GB in a process of its own, and fails when that takes more memory than promised.

    python benchmarks/memory_load.py [--rows 10000000] [--format csv|ndjson|parquet] [--gzip]

Prints seconds, CPU seconds and the peak of resident memory; exits with 1 when the peak is above --limit-megabytes.
"""

import argparse
import gzip
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from shared.ingestion import contract as ingestion  # noqa: E402
from workers.ingestion import load  # noqa: E402

PART_ROWS = 100_000
SEED = 7


def make_part(start: int, *, rows: int) -> pd.DataFrame:
    """Make rows of twelve columns: an identifier, codes, numbers, blanks, categories, times and quoted text."""
    random = np.random.default_rng([SEED, start])
    numbers = pd.Series(random.gamma(3, 900, rows).round(2)).astype(str)
    seconds = pd.to_timedelta(random.integers(0, 30_000_000, rows), unit="s")
    return pd.DataFrame(
        {
            "customer_id": [f"C-{row:09d}" for row in range(start, start + rows)],
            "zip": [f"{code:05d}" for code in random.integers(0, 99_999, rows)],
            "tenure": random.integers(0, 72, rows),
            "charges": random.gamma(3, 30, rows).round(2),
            "total": numbers.where(random.random(rows) > 0.01, " "),
            "active": random.choice(["true", "false"], rows),
            "churn": random.choice(["Yes", "No"], rows),
            "contract": random.choice(["Month-to-month", "One year", "Two year"], rows),
            "since": (pd.Timestamp("2015-01-01") + pd.to_timedelta(random.integers(0, 3650, rows), unit="D")).strftime(
                "%Y-%m-%d"
            ),
            "seen": (pd.Timestamp("2025-01-01") + seconds).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "score": random.normal(size=rows),
            "note": random.choice(["a plain note", 'said "hello", and left', "", "=cmd()"], rows),
        }
    )


def make_file(path: Path, *, rows: int, file_format: str) -> None:
    """Write the table in parts, so that the file may be larger than memory."""
    if file_format == "parquet":
        with parquet.ParquetWriter(path, pa.Table.from_pandas(make_part(0, rows=1)).schema) as writer:
            for start in range(0, rows, PART_ROWS):
                writer.write_table(pa.Table.from_pandas(make_part(start, rows=min(PART_ROWS, rows - start))))
        return
    with path.open("wb") as file:
        for start in range(0, rows, PART_ROWS):
            part = make_part(start, rows=min(PART_ROWS, rows - start))
            if file_format == "csv":
                header = csv.WriteOptions(include_header=start == 0, quoting_style="needed")
                csv.write_csv(pa.Table.from_pandas(part, preserve_index=False), file, header)
            else:
                file.write(part.to_json(orient="records", lines=True).encode())


def measure_load(path: Path, *, file_format: str, is_gzipped: bool) -> dict[str, Any]:
    """Load the file in this process, and measure time and memory."""
    folder = path.parent / "scratch"
    folder.mkdir()
    options = ingestion.LoadDataset(
        name="bench",
        source=ingestion.UploadSource(type="upload", upload="0" * 26),
        format=cast("ingestion.Format", file_format),
        compression="gzip" if is_gzipped else "none",
    )
    started = time.perf_counter()
    table = load.load_table(path, target=path.parent / "table.parquet", options=options, scratch=folder)
    seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Not ru_maxrss: a child starts with that of its parent, which made the file.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_kilobytes = int(status.partition("VmHWM:")[2].split()[0])
    return {
        "rows": table.rows,
        "types": {column.name: column.type for column in table.columns},
        "parquet_megabytes": round(table.bytes / 1e6),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_megabytes": round(peak_kilobytes / 1024),
    }


def main() -> int:
    """Make the file, load it in a child process, and check its peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--format", choices=["csv", "ndjson", "parquet"], default="csv")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--limit-megabytes", type=int, default=700)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure_load(arguments.child, file_format=arguments.format, is_gzipped=arguments.gzip)))
        return 0
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        path = Path(folder) / "table"
        make_file(path, rows=arguments.rows, file_format=arguments.format)
        print(f"{arguments.rows:,} rows of {arguments.format}, {path.stat().st_size / 1e6:,.0f} MB", flush=True)
        if arguments.gzip:
            plain = path.rename(path.with_suffix(".plain"))
            with plain.open("rb") as source, gzip.open(path, "wb", compresslevel=1) as target:
                shutil.copyfileobj(source, target)
            plain.unlink()
        command = [sys.executable, __file__, *sys.argv[1:], "--child", str(path)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for name, value in result.items():
        print(f"{name:>18}: {value}")
    is_within = result["peak_megabytes"] <= arguments.limit_megabytes
    print(f"{'ok' if is_within else 'TOO MUCH'}: {result['peak_megabytes']} MB, limit {arguments.limit_megabytes} MB")
    return 0 if is_within else 1


if __name__ == "__main__":
    sys.exit(main())
