"""Files that `FrameWriter` writes beside those that pyarrow writes by default: `python -m benchmarks.frame_files`.

Both have the same million rows, of which most columns don't repeat. Measured are writing, a page of rows and all rows
in frames; the ways take turns, so that a busy machine slows both.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from benchmarks import measures
from shared.ml import frames
from shared.objects import decoding

ROWS, FRAME_ROWS, PAGE_ROWS, TURNS = 1_000_000, 65_536, 100, 7
PAGE_START = 7 * FRAME_ROWS
"""A page that begins with a row group: what is read of the group before the page is the same for both files."""


def make_frame() -> pd.DataFrame:
    """Make a table of measurements, whole numbers, an identifier and a town."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({f"measured_{number}": random.normal(size=ROWS) for number in range(8)})
    return frame.assign(
        identifier=[f"customer-{number:08}" for number in range(ROWS)],
        town=random.choice(["Oslo", "Bergen", "Tromsø"], size=ROWS),
        visits=random.integers(0, 50, size=ROWS).astype(np.float64),
    )


def write_by_choice(frame: pd.DataFrame, path: Path) -> None:
    """Write with dictionaries for columns that repeat."""
    columns = [frames.columns_of(pa.Schema.from_pandas(frame.head(1)))[at] for at in range(frame.shape[1])]
    with frames.FrameWriter(path, columns=columns) as writer:
        for start in range(0, ROWS, FRAME_ROWS):
            writer.write(frame.iloc[start : start + FRAME_ROWS])


def write_by_default(frame: pd.DataFrame, path: Path) -> None:
    """Write with dictionaries for all columns."""
    schema = pa.Schema.from_pandas(frame.head(1), preserve_index=False)
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, ROWS, FRAME_ROWS):
            part = frame.iloc[start : start + FRAME_ROWS]
            writer.write_table(pa.Table.from_pandas(part, schema=schema, preserve_index=False))


def read_page(path: Path) -> None:
    """Read one page of rows."""
    with decoding.Table(path, buffer_bytes=frames.READ_BUFFER_BYTES) as table:
        next(iter(table.iterate(max_rows=PAGE_ROWS, max_bytes=frames.BATCH_BYTES, first_row=PAGE_START)))


def read_all(path: Path) -> None:
    """Read all rows as frames."""
    for _ in frames.iterate_frames(path, batch_rows=FRAME_ROWS):
        pass


def time_ms(work: Callable[[], None]) -> float:
    """Time some work, in milliseconds."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Measure, and print the medians and their ratios."""
    frame = make_frame()
    writers = {"chosen by column": write_by_choice, "for every column": write_by_default}
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{number}.parquet" for number, name in enumerate(writers)}
        for _ in range(TURNS):
            for name, write in writers.items():
                path = paths[name]
                times.setdefault(("write", name), []).append(time_ms(lambda: write(frame, path)))  # noqa: B023
                times.setdefault(("read all", name), []).append(time_ms(lambda: read_all(path)))  # noqa: B023
                times.setdefault(("read a page", name), []).append(time_ms(lambda: read_page(path)))  # noqa: B023
        sizes = {name: path.stat().st_size / 1e6 for name, path in paths.items()}
    print(f"{ROWS:,} rows of {frame.shape[1]} columns; dictionaries chosen by column, and for every column")
    for work in ("write", "read all", "read a page"):
        chosen, every = (measures.median(times[work, name]) for name in writers)
        print(f"{work}: {chosen:.1f} ms and {every:.1f} ms, ratio {chosen / every:.2f}")
    chosen, every = (sizes[name] for name in writers)
    print(f"size: {chosen:.1f} MB and {every:.1f} MB, ratio {chosen / every:.2f}")


if __name__ == "__main__":
    main()
