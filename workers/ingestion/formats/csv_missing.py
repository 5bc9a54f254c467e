"""Which fields of a CSV file mean a missing value: those that Arrow finds by their names are counted for a note."""

import numpy as np
import pyarrow as pa

from workers.ingestion import values

SHOWN = 20


def named(missing: list[str]) -> list[str]:
    """Give the texts that Arrow is to read as null: all but the blank one, so that its nulls can be counted."""
    return [text for text in missing if text]


class Missing:
    """What is missing in the rows of one reading."""

    def __init__(self, missing: list[str], *, names: list[str]) -> None:
        """Start with no row seen."""
        self._takes_blanks = "" in missing
        self._named = named(missing)
        self._columns = names
        self._counts = [0] * len(names)

    def find(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Give the next rows with null for blank fields too, and count those that were null by their names."""
        self._counts = [count + texts.null_count for count, texts in zip(self._counts, batch.columns, strict=True)]
        if not self._takes_blanks:
            return batch
        return pa.RecordBatch.from_arrays([_without_blanks(texts) for texts in batch.columns], schema=batch.schema)

    def notes(self) -> list[str]:
        """Say of each column how many texts were read as missing."""
        found = [f"{name!r} ({count:,})" for name, count in zip(self._columns, self._counts, strict=True) if count]
        if not found:
            return []
        named_ones, rest = ", ".join(map(repr, self._named[:SHOWN])), len(found) - SHOWN
        counted = ", ".join(found[:SHOWN]) + (f" and {rest:,} more columns" if rest > 0 else "")
        said = f"Texts that `null_values` names ({named_ones}) were read as missing: {counted}."
        return [f"{said} Give `null_values` if they mean something."]


def _without_blanks(texts: pa.Array) -> pa.Array:
    """Give null for each blank text; null ones have no letters either."""
    is_filled = np.diff(values.text_offsets(texts)) > 0
    if is_filled.all():
        return texts
    _, offsets, letters = texts.buffers()
    valid = pa.py_buffer(np.packbits(is_filled, bitorder="little"))
    return pa.Array.from_buffers(texts.type, len(texts), [valid, offsets, letters])
