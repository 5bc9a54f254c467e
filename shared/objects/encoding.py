"""Chooses how the columns of a Parquet file are encoded, from the first rows that are written."""

import pyarrow as pa
import pyarrow.compute as pc

HEAD_ROWS = 20_000


def find_repeating(group: pa.Table) -> list[str]:
    """Find the columns whose values repeat: for others, dictionaries cost writers and readers time and save no space.

    docs/decisions/storage.md, "Columns are kept in dictionaries only where values repeat".
    """
    head = group.slice(0, HEAD_ROWS)
    return [name for name in head.column_names if pc.count_distinct(head.column(name)).as_py() < head.num_rows / 2]
