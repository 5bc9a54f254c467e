"""Columns that pandas made of a frame's index: the place of each row, which no model can know of new data.

docs/decisions/ingestion.md, "The index of pandas is no column"
"""

import json
import re
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

UNNAMED = re.compile(r"Unnamed: 0(?:\.\d+)*|__index_level_\d+__|level_\d+")
# Of a filtered frame some rows are left, but of higher numbers each may be an identifier.
SPARSEST = 100
MOST_SMALL = 100
REMEDY = "Name it in `columns` to keep it."


def find_in_text(header: Sequence[str], *, sample: Sequence[pa.RecordBatch], used: Collection[str]) -> int | None:
    """Find the column of a table of text that is such an index, by position; None when there is none.

    It is the first one, has no name or one that pandas gives, and different whole numbers from 0 on. A column in `used`
    is none.
    """
    if len(header) < 2 or not sample or header[0] in used:
        return None
    if UNNAMED.fullmatch(header[0]) is None and header[0] != "column_1":
        return None
    return 0 if _are_places(pa.concat_arrays([batch.column(0) for batch in sample])) else None


def still_are_places(texts: pa.Array) -> bool:
    """Check whether texts of later rows are whole numbers from 0 on."""
    return (
        texts.null_count == 0
        and pc.all(pc.match_substring_regex(texts, "^(?:0|[1-9][0-9]{0,17})$")).as_py() is not False
    )


def describe(name: str) -> str:
    """Describe that such a column was left out."""
    return f"The column {name!r} was left out, since it is the index of a pandas frame: it numbers the rows. {REMEDY}"


def find_in_schema(schema: pa.Schema, *, used: Collection[str]) -> tuple[list[int], list[str]]:
    """Find such columns of a Parquet file by position, and notes on them and on others that pandas had as its index."""
    indexes = _read_index_names(schema)
    left_out, notes = [], []
    for position, field in enumerate(schema):
        is_unnamed = UNNAMED.fullmatch(field.name) is not None
        if field.name in used or not (field.name in indexes or (is_unnamed and field.name.startswith("__"))):
            continue
        value_type = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if is_unnamed and pa.types.is_integer(value_type):
            left_out.append(position)
            notes.append(describe(field.name))
        else:
            notes.append(
                f"The column {field.name!r} was the index of a pandas frame. Leave it out with `columns` if it only "
                "numbers the rows."
            )
    if len(left_out) == len(schema):
        return [], []
    return left_out, notes


def _are_places(texts: pa.Array) -> bool:
    if len(texts) < 2 or not still_are_places(texts) or len(pc.unique(texts)) < len(texts):
        return False
    return int(pc.max(texts.cast(pa.int64())).as_py()) < SPARSEST * max(len(texts), MOST_SMALL)


def _read_index_names(schema: pa.Schema) -> set[str]:
    """Read which columns pandas says to have been its index; an index that is no column is described instead."""
    try:
        described: Any = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        return {name for name in described.get("index_columns", []) if isinstance(name, str)}
    except (ValueError, AttributeError, TypeError):
        return set()
