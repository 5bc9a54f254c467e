"""The fields of a CSV file that mean a missing value: those listed by name are counted for a note."""

import numpy as np
import pyarrow as pa

from workers.tabular import text_buffers

MAX_SHOWN = 20


def arrow_null_values(missing: list[str]) -> list[str]:
    """List the texts that Arrow reads as null: all but the blank one, so that Arrow's nulls can be counted."""
    return [text for text in missing if text]


class MissingFields:
    """Marks and counts the missing fields while a file is read once."""

    def __init__(self, missing: list[str], *, names: list[str]) -> None:
        """Start with no rows."""
        self._blank_is_missing = "" in missing
        self._null_values = arrow_null_values(missing)
        self._columns = names
        self._counts = [0] * len(names)

    def mark(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Replace blank fields of the next rows with null, and count the fields that Arrow has read as null."""
        self._counts = [count + texts.null_count for count, texts in zip(self._counts, batch.columns, strict=True)]
        if not self._blank_is_missing:
            return batch
        return pa.RecordBatch.from_arrays([_nullify_blanks(texts) for texts in batch.columns], schema=batch.schema)

    def notes(self) -> list[str]:
        """Describe how many texts of each column were read as missing."""
        counts = [f"{name!r} ({count:,})" for name, count in zip(self._columns, self._counts, strict=True) if count]
        if not counts:
            return []
        null_values, excess = ", ".join(map(repr, self._null_values[:MAX_SHOWN])), len(counts) - MAX_SHOWN
        listed = ", ".join(counts[:MAX_SHOWN]) + (f" and {excess:,} more columns" if excess > 0 else "")
        note = f"Texts in `null_values` ({null_values}) were read as missing: {listed}."
        return [f"{note} Set other `null_values` if they are values."]


def _nullify_blanks(texts: pa.Array) -> pa.Array:
    """Replace each blank text with null; a null one has no bytes either."""
    is_filled = np.diff(text_buffers.text_offsets(texts)) > 0
    if is_filled.all():
        return texts
    _, offsets, content = texts.buffers()
    validity = pa.py_buffer(np.packbits(is_filled, bitorder="little"))
    return pa.Array.from_buffers(texts.type, len(texts), [validity, offsets, content])
