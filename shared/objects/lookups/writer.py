"""Writes a table that rows are looked up in by key, batch by batch, so that it needs no memory for all rows."""

import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared import contract, errors
from shared.objects.lookups import keys
from shared.objects.lookups.layout import MAX_ROWS, MAX_TEXT_BYTES, TEXT_BITS, Layout

Positions = npt.NDArray[np.int64]
_MAX_KNOWN_TEXTS = 1_000_000
"""Texts that are remembered, so that equal ones are stored once; others may be stored several times."""
_INSTANT = pa.timestamp("us")


class Writer:
    """Writes a table; it is whole once the writer is closed."""

    def __init__(self, path: Path, layout: Layout, *, hashes: npt.NDArray[np.uint64]) -> None:
        """Begin a file at `path` for rows with these hashes, sorted, different, and as pairs of numbers, (rows, 2)."""
        if layout.rows > MAX_ROWS:
            raise errors.LimitExceededError(f"a table that is looked up has at most {MAX_ROWS:,} rows")
        self._layout = layout
        self._file = path.open("xb+")
        self._file.truncate(layout.texts_at)
        self._write_index(hashes)
        self._rows: Any = np.empty((0, layout.row.size), dtype=np.uint8)
        if layout.rows:
            self._rows = np.memmap(
                self._file, dtype=np.uint8, mode="r+", offset=layout.rows_at, shape=(layout.rows, layout.row.size)
            )
        fields = [(f"f{index}", f"<{_dtype(code)}") for index, code in enumerate(layout.codes)]
        self._record = np.dtype([*fields, ("nulls", "u1", (layout.null_bytes,))])
        self._file.seek(layout.texts_at)
        self._texts_bytes = 0
        self._known: dict[str, int] = {}

    def write(self, batch: pa.RecordBatch | pa.Table, positions: Positions) -> None:
        """Write rows, each at its position among the sorted ones; BadDataError for a text that is too long."""
        records = np.zeros(len(positions), dtype=self._record)
        for index, column in enumerate(self._layout.columns):
            values = batch.column(column.name)
            if isinstance(values, pa.ChunkedArray):
                values = values.combine_chunks()
            if pa.types.is_dictionary(values.type) and column.type != "string":
                values = values.cast(values.type.value_type)
            missing = np.asarray(values.is_null().to_numpy(zero_copy_only=False), dtype=bool)
            records[f"f{index}"] = self._pack(values, column)
            records["nulls"][:, index // 8] |= missing.astype(np.uint8) << (index % 8)
        self._rows[positions] = records.view(np.uint8).reshape(len(positions), -1)

    def _pack(self, values: Any, column: contract.Column) -> Any:
        if column.type == "string":
            return self._pack_texts(values, column)
        if column.type in contract.TEMPORAL:
            values = values.cast(_INSTANT) if not pa.types.is_timestamp(values.type) else values
            return values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        filler = False if column.type == "boolean" else 0
        return values.fill_null(filler).to_numpy(zero_copy_only=False)

    def _pack_texts(self, values: Any, column: contract.Column) -> Any:
        if not pa.types.is_dictionary(values.type):
            values = values.dictionary_encode()
        packed = [self._place(text, column) for text in values.dictionary.to_pylist()]
        places = np.array([*packed, 0], dtype=np.uint64)
        return places[values.indices.fill_null(len(packed)).to_numpy(zero_copy_only=False)]

    def _place(self, text: str | None, column: contract.Column) -> int:
        if text is None:
            return 0
        place = self._known.get(text)
        if place is None:
            content = text.encode()
            if len(content) > MAX_TEXT_BYTES:
                raise errors.BadDataError(
                    f"column {column.name!r} has a text of {len(content):,} bytes; at most {MAX_TEXT_BYTES:,} can be "
                    "looked up"
                )
            place = (self._texts_bytes << TEXT_BITS) | len(content)
            self._file.write(content)
            self._texts_bytes += len(content)
            if len(self._known) < _MAX_KNOWN_TEXTS:
                self._known[text] = place
        return place

    def _write_index(self, hashes: npt.NDArray[np.uint64]) -> None:
        bits = self._layout.index_bits
        buckets = hashes[:, 0] >> np.uint64(64 - bits)
        starts = np.searchsorted(buckets, np.arange((1 << bits) + 1, dtype=np.uint64))
        self._file.seek(0)
        self._file.write(starts.astype("<u4").tobytes())
        self._file.seek(self._layout.hashes_at)
        self._file.write(hashes.astype(">u8").tobytes())

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Finish the file; one that is not whole has no footer, and so can't be read."""
        if kind is None:
            if isinstance(self._rows, np.memmap):
                self._rows.flush()
            self._file.write(self._layout.to_footer())
        self._rows = None
        self._file.close()


def _dtype(code: str) -> str:
    return {"d": "f8", "q": "i8", "B": "u1", "Q": "u8"}[code]


def hash_columns(columns: Sequence[Any], types_: Sequence[contract.ColumnType]) -> tuple[bytes, Positions]:
    """Hash the keys of rows, given Arrow arrays: the hashes one after another, and which rows have a whole key."""
    lists = [column.to_pylist() for column in columns]
    hashes, positions = bytearray(), []
    for row, values in enumerate(zip(*lists, strict=True)):
        parts = [keys.to_text(value, column_type) for value, column_type in zip(values, types_, strict=True)]
        if None not in parts:
            hashes += keys.hash_parts([part for part in parts if part is not None])
            positions.append(row)
    return bytes(hashes), np.array(positions, dtype=np.int64)
