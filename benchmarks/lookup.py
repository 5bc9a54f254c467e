"""Looks up 50 columns of a million keys, and fails when that takes too long, too much memory, or finds another bit.

Run as `python -m benchmarks.lookup`. It publishes a feature set as the job does, in a process of its own, and looks
keys up as the inference server does, in another one: the median and p99 of joining a request of one row, what mapping
and reading all rows adds to the process beside the size of the table in Arrow, and 10,000 rows beside those that
applying the feature set makes.
"""

import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.measures import percentile
from benchmarks.memory_predict import read_peak_mb
from shared import digests
from shared.ml import frames
from shared.objects.lookups.table import Table
from shared.recipe.language import Recipe
from workers.prediction.online.lookups.joining import Lookup
from workers.prediction.online.lookups.sources import Holder, Source
from workers.processing import apply, fit, publish

ROOT = Path(__file__).resolve().parents[1]
NUMBERS, INTEGERS, FLAGS, TEXTS, TIMES = 28, 10, 4, 6, 2
FITTED_ROWS = 20_000
COMPARED = 10_000
ASKED = 100_000
MAX_MICROSECONDS = 50.0
MAX_RATIO = 1.3
STEPS = [{"op": "drop", "columns": ["id"]}, {"op": "scale", "columns": [f"n{each}" for each in range(NUMBERS)]}]


def main() -> int:
    """Make the data, publish it, look it up, and check the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many keys to publish")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="publish what the parent wrote there, and exit")
    parser.add_argument("--look-up", type=Path, metavar="FOLDER", help="look up what is published there, and exit")
    arguments = parser.parse_args()
    if arguments.publish:
        return publish_there(arguments.publish)
    if arguments.look_up:
        return look_up_there(arguments.look_up)
    with tempfile.TemporaryDirectory() as name:
        return run(Path(name), rows=arguments.rows)


def run(folder: Path, *, rows: int) -> int:
    """Measure in a folder, print the figures, and return 1 when one is beyond its limit."""
    write_dataset(folder / "d.parquet", rows=rows)
    parquet.write_table(parquet.read_table(folder / "d.parquet").slice(0, FITTED_ROWS), folder / "sample.parquet")
    fit.fit_features(
        folder / "sample.parquet",
        recipe=Recipe.model_validate_json(json.dumps({"steps": STEPS})),
        columns=frames.read_columns(folder / "sample.parquet"),
        target=None,
        transformer_path=folder / "t.skops",
        output_path=folder / "fitted.parquet",
    )
    published = call("--publish", folder)
    seconds, peak, size = (published[name] for name in ("seconds", "peak_mb", "mb"))
    print(f"published {rows:,} keys in {seconds:.1f} s, peak {peak:.0f} MB, as a file of {size:.0f} MB")
    apply.apply_features(
        folder / "d.parquet",
        transformer=folder / "t.skops",
        sha256=digests.of_file(folder / "t.skops"),
        output_path=folder / "applied.parquet",
    )
    table_mb = parquet.read_table(folder / "applied.parquet").nbytes / 1e6
    found = call("--look-up", folder)
    ratio = found["added_mb"] / table_mb
    print(f"one row of {found['columns']} columns: p50 {found['p50']:.1f} µs, p99 {found['p99']:.1f} µs")
    print(
        f"memory: {found['added_mb']:.0f} MB for a table of {table_mb:.0f} MB, {ratio:.2f}; file {published['mb']:.0f}"
    )
    print(f"mapped in {found['map_ms']:.1f} ms; {found['equal']:,} of {COMPARED:,} rows equal those of apply")
    is_well = found["p50"] <= MAX_MICROSECONDS and ratio <= MAX_RATIO and found["equal"] == COMPARED
    print(f"to reach: {MAX_MICROSECONDS:g} µs, {MAX_RATIO:g}, all equal: {'reached' if is_well else 'MISSED'}")
    return 0 if is_well else 1


def write_dataset(path: Path, *, rows: int) -> None:
    """Write an id and 50 columns of every type, one value in a hundred missing, in parts that memory has room for."""
    dice, writer = np.random.default_rng(0), None
    order = np.random.default_rng(1).permutation(rows)
    for first in range(0, rows, 100_000):
        table = make_part(order[first : first + 100_000], dice)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def make_part(numbers: Any, dice: np.random.Generator) -> pa.Table:
    """Make the rows of some ids."""
    rows = len(numbers)
    holes = dice.random(rows) < 0.01
    columns: dict[str, pa.Array] = {"id": pa.array([f"{number:07}-CUST" for number in numbers])}
    columns |= {f"n{each}": pa.array(dice.standard_normal(rows), mask=holes) for each in range(NUMBERS)}
    columns |= {f"i{each}": pa.array(dice.integers(0, 1000, rows), mask=holes) for each in range(INTEGERS)}
    columns |= {f"f{each}": pa.array(dice.random(rows) < 0.5) for each in range(FLAGS)}
    columns |= {f"t{each}": pa.array(dice.choice(["monthly", "yearly", "never"], rows)) for each in range(TEXTS)}
    times = dice.integers(0, 1_700_000_000_000_000, rows)
    columns |= {f"s{each}": pa.array(times).cast(pa.timestamp("us", tz="UTC")) for each in range(TIMES)}
    return pa.table(columns)


def call(mode: str, folder: Path) -> dict[str, Any]:
    """Run a part in a process of its own, and return what it measured."""
    command = [sys.executable, "-m", "benchmarks.lookup", mode, str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def publish_there(folder: Path) -> int:
    """Publish as a worker does, and print time, memory and size."""
    (folder / "scratch").mkdir()
    began = time.monotonic()
    made = publish.publish_features(
        folder / "d.parquet",
        transformer=folder / "t.skops",
        sha256=digests.of_file(folder / "t.skops"),
        key=["id"],
        time=None,
        output_path=folder / "rows.lookup",
        scratch=folder / "scratch",
    )
    print(json.dumps({"seconds": time.monotonic() - began, "peak_mb": read_peak_mb(), "mb": made.bytes / 1e6}))
    return 0


def look_up_there(folder: Path) -> int:
    """Look keys up as a copy does, and print times, memory, and how many rows equal those of apply."""
    ids = parquet.read_table(folder / "d.parquet", columns=["id"])["id"].to_pylist()
    before, began = read_resident_mb(), time.perf_counter()
    table = Table(folder / "rows.lookup")
    map_ms = (time.perf_counter() - began) * 1e3
    names = tuple(column.name for column in table.layout.columns)
    holder = Holder()
    holder.source = Source("features@1", table, "", round(time.time() * 1000))
    state = {"features": "features@1", "key": ["id"], "missing": "error", "defaults": None, "max_age_seconds": None}
    lookup = Lookup(state, holder, deployment=("default", "bench"))
    times = []
    for key in random.Random(2).choices(ids, k=ASKED):
        began = time.perf_counter()
        lookup.join({"id": [key]}, rows_count=1, wanted=names)
        times.append((time.perf_counter() - began) * 1e6)
    read = table.select(names)
    for position in range(table.layout.rows):
        read(position)
    measured = {
        "columns": len(names),
        "map_ms": map_ms,
        "p50": percentile(times, 0.5),
        "p99": percentile(times, 0.99),
        "added_mb": read_resident_mb() - before,
        "equal": count_equal(folder / "applied.parquet", ids[:COMPARED], lookup, names),
    }
    print(json.dumps(measured))
    return 0


def count_equal(applied: Path, ids: list[str], lookup: Lookup, names: tuple[str, ...]) -> int:
    """Count the rows whose values are, to the last bit, those of the dataset that applying made."""
    joined, _ = lookup.join({"id": ids}, rows_count=len(ids), wanted=names)
    table = parquet.read_table(applied).slice(0, len(ids))
    expected = list(zip(*(to_comparable(table[name]) for name in names), strict=True))
    online = zip(*([to_bits(value) for value in joined[name]] for name in names), strict=True)
    return sum(row == other for row, other in zip(online, expected, strict=True))


def to_comparable(column: Any) -> list[Any]:
    """Turn an Arrow column into values that are equal for equal bits."""
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    return [to_bits(value) for value in column.to_pylist()]


def to_bits(value: Any) -> Any:
    """Turn a number into its bits and a time into its microseconds; all else stays."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    return int(value.astype(np.int64)) if isinstance(value, np.datetime64) else value


def read_resident_mb() -> float:
    """Read this process's resident memory, what it has mapped included."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())
