"""Spills the rows of JSON as columns of text to Arrow files, until all columns and their kinds are known."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from shared import errors
from workers.ingestion.formats import json_rows
from workers.ingestion.limits import Limits

BATCH_CHARACTERS = 2 * 1024 * 1024
BATCH_CELLS = 250_000
KINDS_BY_TYPE: dict[type, str] = {
    bool: "boolean",
    json_rows.WholeNumber: "whole",
    json_rows.FractionalNumber: "fractional",
    str: "string",
    dict: "nested",
    list: "nested",
}


class Spill:
    """Writes rows as columns of text to files; whenever a new column appears, a new file is started."""

    def __init__(self, scratch: Path, *, limits: Limits) -> None:
        """Start with no rows; the files go to `scratch`."""
        self._scratch = scratch
        self._limits = limits
        self._files: list[Path] = []
        self._writer: Any = None
        self._rows = 0
        self._kinds: dict[str, set[str]] = {}

    @property
    def names(self) -> list[str]:
        """The columns' names, in the order in which they first appeared."""
        return list(self._kinds)

    @property
    def kinds(self) -> list[set[str]]:
        """For each column, the kinds of its JSON values."""
        return list(self._kinds.values())

    def add(self, rows: Iterable[json_rows.SizedRow]) -> None:
        """Write all rows."""
        batch: list[json_rows.Row] = []
        characters = 0
        try:
            for row, size in rows:
                if not self._kinds.keys() >= row.keys():
                    self._add_columns(row)
                batch.append(row)
                characters += size
                if characters >= BATCH_CHARACTERS or len(batch) * len(self._kinds) >= BATCH_CELLS:
                    self._write(batch)
                    batch, characters = [], 0
            if batch:
                self._write(batch)
        finally:
            self._finish_file()

    def batches(self) -> Iterator[tuple[float, pa.RecordBatch]]:
        """Read the rows back; a column that first appeared later is null before that."""
        width, rows_read = len(self._kinds), 0
        columns = [str(position) for position in range(width)]
        for path in self._files:
            with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
                for batch in reader:
                    rows_read += batch.num_rows
                    absent = [pa.nulls(batch.num_rows, pa.string())] * (width - batch.num_columns)
                    yield (
                        rows_read / max(self._rows, 1),
                        pa.RecordBatch.from_arrays([*batch.columns, *absent], names=columns),
                    )

    def _add_columns(self, row: json_rows.Row) -> None:
        for name in row:
            self._kinds.setdefault(name, set())
        self._limits.check_columns(len(self._kinds))
        # The batches written so far lack these columns; the next file has them.
        self._finish_file()

    def _write(self, rows: list[json_rows.Row]) -> None:
        arrays = [self._to_texts([row.get(name) for row in rows], name=name) for name in self._kinds]
        batch = pa.RecordBatch.from_arrays(arrays, names=[str(position) for position in range(len(arrays))])
        self._rows += batch.num_rows
        self._limits.check_shape(self._rows, columns=len(arrays))
        if self._writer is None:
            path = self._scratch / f"rows-{len(self._files)}"
            self._files.append(path)
            self._writer = pa.ipc.new_stream(str(path), batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        self._writer.write_batch(batch)

    def _to_texts(self, column: list[Any], *, name: str) -> pa.Array:
        types = set(map(type, column)) - {type(None)}
        kinds = {KINDS_BY_TYPE[value_type] for value_type in types}
        self._kinds[name] |= kinds
        if not types <= {str, json_rows.WholeNumber, json_rows.FractionalNumber}:
            column = [
                None if value is None else value if isinstance(value, str) else _to_json(value) for value in column
            ]
        try:
            return pa.array(column, pa.string())
        except UnicodeEncodeError as error:
            raise errors.BadDataError(
                f"Column {name!r} contains half of a surrogate pair, such as '\\ud800' alone, which is not a valid "
                "character."
            ) from error

    def _finish_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _to_json(value: Any) -> str:
    """Write a value as JSON, with its numbers as they were written."""
    match value:
        case json_rows.WholeNumber() | json_rows.FractionalNumber():
            return str(value)
        case dict():
            return (
                "{"
                + ", ".join(
                    f"{json.dumps(name, ensure_ascii=False)}: {_to_json(member)}" for name, member in value.items()
                )
                + "}"
            )
        case list():
            return "[" + ", ".join(map(_to_json, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
