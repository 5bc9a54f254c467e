"""Single libraries that turn a CSV into typed Parquet and profile it, each in a process of its own.

    python ingest_peers.py duckdb|duckdb-same|duckdb-store|polars|pandas|pyarrow table.csv table.parquet

Prints seconds, peak megabytes and the version as JSON. The profile has, for each column, the count, nulls, distinct
values (approximate where the library can), least and greatest value, and for numbers mean, deviation and quantiles;
unlike Millrace's it has no most frequent values, and types come from a sample. `duckdb-same` does the same work as
Millrace: it finds types over all rows, and counts frequent values; `duckdb-store` makes no profile at all. All compress
with Snappy, as Millrace does. This runs in a venv of the peers, so it imports nothing of Millrace.
"""

import functools
import importlib
import json
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
CHUNK_ROWS = 500_000


def store_with_duckdb(source: str, target: str, *, scan_all: bool = False) -> Any:
    """Store a table with duckdb, with types from its default sample or from all rows; return the connection."""
    duckdb: Any = importlib.import_module("duckdb")
    connection = duckdb.connect(config={"memory_limit": "900MB"})
    sample = ", sample_size = -1" if scan_all else ""
    connection.execute(f"COPY (FROM read_csv('{source}'{sample})) TO '{target}' (FORMAT parquet, COMPRESSION snappy)")
    return connection


def run_duckdb(source: str, target: str, *, scan_all: bool = False) -> Any:
    """Use duckdb: types from its default sample or from all rows, approximate quantiles and distinct counts."""
    connection = store_with_duckdb(source, target, scan_all=scan_all)
    aggregates = []
    for name, type_, *_ in connection.execute(f"DESCRIBE FROM '{target}'").fetchall():
        aggregates += [f'{function}("{name}")' for function in ("count", "min", "max", "approx_count_distinct")]
        aggregates += [f'approx_top_k("{name}", 10)'] if scan_all else []
        if type_ in ("BIGINT", "DOUBLE"):
            aggregates += [f'avg("{name}")', f'stddev("{name}")', f'approx_quantile("{name}", {QUANTILES})']
    return connection.execute(f"SELECT count(*), {', '.join(aggregates)} FROM '{target}'").fetchall()


def run_polars(source: str, target: str) -> Any:
    """Use polars' streaming engine: types from a sample of 10,000 rows."""
    pl: Any = importlib.import_module("polars")
    pl.scan_csv(source, infer_schema_length=10_000, try_parse_dates=True).sink_parquet(target, compression="snappy")
    table = pl.scan_parquet(target)
    aggregates = []
    for name, type_ in table.collect_schema().items():
        column = pl.col(name)
        aggregates += [
            column.count().alias(f"{name} count"),
            column.min().alias(f"{name} min"),
            column.max().alias(f"{name} max"),
            column.approx_n_unique().alias(f"{name} distinct"),
        ]
        if type_.is_numeric():
            aggregates += [column.mean().alias(f"{name} mean"), column.std().alias(f"{name} std")]
            aggregates += [column.quantile(share).alias(f"{name} {share}") for share in QUANTILES]
    return table.select(aggregates).collect(engine="streaming").to_dicts()


def run_pandas(source: str, target: str) -> Any:
    """Use pandas in chunks, with types from the first chunk and quantiles of a sample."""
    pd: Any = importlib.import_module("pandas")
    pa: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    writer: Any = None
    parts: list[Any] = []
    distinct: dict[str, set[int]] = {}
    samples: list[Any] = []
    for chunk in pd.read_csv(source, chunksize=CHUNK_ROWS, dtype={"zip": str, "total": str}):
        for name in ("since", "seen"):
            chunk[name] = pd.to_datetime(chunk[name])
        table = pa.Table.from_pandas(chunk, preserve_index=False)
        writer = writer or parquet.ParquetWriter(target, table.schema)
        writer.write_table(table.cast(writer.schema))
        numbers = chunk.select_dtypes("number")
        parts.append((chunk.count(), numbers.agg(["min", "max", "sum"]), (numbers**2).sum()))
        samples.append(numbers.sample(frac=0.1, random_state=7))
        for name in chunk:
            # One hash in 64 is kept, which estimates the count of distinct values in bounded memory.
            hashes = pd.util.hash_array(chunk[name].dropna().unique())
            distinct.setdefault(name, set()).update(hashes[hashes % 64 == 0].tolist())
    writer.close()
    return parts, {name: 64 * len(hashes) for name, hashes in distinct.items()}, pd.concat(samples).quantile(QUANTILES)


def run_pyarrow(source: str, target: str) -> Any:
    """Use pyarrow's streaming reader, with types from the first block, then profile column by column."""
    pa: Any = importlib.import_module("pyarrow")
    pc: Any = importlib.import_module("pyarrow.compute")
    csv: Any = importlib.import_module("pyarrow.csv")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    options = csv.ConvertOptions(column_types={"zip": pa.string(), "total": pa.string()})
    with (
        csv.open_csv(source, convert_options=options) as reader,
        parquet.ParquetWriter(target, reader.schema) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)
    profiles = []
    for name in reader.schema.names:
        column = parquet.read_table(target, columns=[name]).column(0)
        profile = [pc.count(column), pc.min_max(column), pc.count_distinct(column)]
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            profile += [pc.mean(column), pc.stddev(column), pc.tdigest(column, QUANTILES)]
        profiles.append(profile)
    return profiles


ENGINES: dict[str, Callable[[str, str], Any]] = {
    "duckdb": run_duckdb,
    "duckdb-same": functools.partial(run_duckdb, scan_all=True),
    "duckdb-store": store_with_duckdb,
    "polars": run_polars,
    "pandas": run_pandas,
    "pyarrow": run_pyarrow,
}


def main() -> None:
    """Run one engine, and print its time and memory."""
    engine, source, target = sys.argv[1:]
    module = importlib.import_module(engine.partition("-")[0])
    started = time.perf_counter()
    ENGINES[engine](source, target)
    seconds = time.perf_counter() - started
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    peak_kilobytes = int(status.partition("VmHWM:")[2].split()[0])
    print(json.dumps({"seconds": seconds, "peak_megabytes": peak_kilobytes / 1024, "version": module.__version__}))


if __name__ == "__main__":
    main()
