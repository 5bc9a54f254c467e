"""Writes batches of answered requests as Parquet, one file for each set of columns, with bounded memory.

Rows of versions whose signatures differ are in files of their own, so that each column has one type.
"""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, cast

import pyarrow as pa

from shared import contract, errors
from shared.ml import frames
from shared.objects import store
from shared.prediction import prediction_ids
from shared.prediction.logs.batches import Batch, Call
from workers.prediction.logs import layouts, values
from workers.prediction.logs.layouts import Columns, Layout

GROUP_BYTES, GROUP_ROWS = 32 << 20, 100_000
"""How much of a file is gathered before it is written."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a request, and where it is in it."""

    call: Call
    position: int


class File:
    """A file that is being written, and what it holds."""

    def __init__(self, path: Path, columns: Columns) -> None:
        """Begin a file."""
        self.path = path
        self.columns = columns
        self.writer = frames.FrameWriter(path, columns=layouts.describe(columns))
        self.from_at: int | None = None
        self.until_at = 0
        self.versions: dict[str, None] = {}
        self.revisions: set[int] = set()
        self._waiting: list[pa.Table] = []

    def add(self, table: pa.Table, *, version: str, revision: int, times: list[int]) -> None:
        """Add rows, which are written once enough wait."""
        self.from_at = min(times) if self.from_at is None else min(self.from_at, *times)
        self.until_at = max(self.until_at, *times)
        self.versions[version] = None
        self.revisions.add(revision)
        self._waiting.append(table)
        rows = sum(each.num_rows for each in self._waiting)
        if rows >= GROUP_ROWS or sum(each.nbytes for each in self._waiting) >= GROUP_BYTES:
            self.write()

    def write(self) -> None:
        """Write what waits."""
        if self._waiting:
            self.writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
            self._waiting = []


class Files:
    """The files that batches are written to; closed, each is whole."""

    def __init__(self, choose_path: Callable[[int], Path]) -> None:
        """Write none yet; `choose_path` chooses the path of each by its number, from 0."""
        self._choose_path = choose_path
        self._files: dict[Columns, File] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """End the files, or remove them when something has failed."""
        if kind is None:
            for file in self._files.values():
                file.write()
        self._stack.__exit__(kind, error, trace)

    @property
    def all(self) -> list[File]:
        """The files, in the order in which they were begun."""
        return list(self._files.values())

    def add(self, batch: Batch) -> None:
        """Add the requests of a batch, all or none; raises DamagedError for what no copy can have written."""
        try:
            parts = [_to_part(batch, label, names, members) for (label, names), members in _group(batch).items()]
        except (LookupError, TypeError, ValueError, pa.ArrowException) as error:
            raise store.DamagedError(f"A batch of the prediction log can't be read: {error}.") from error
        for part in parts:
            self._find(part.columns).add(part.table, version=part.version, revision=batch.revision, times=part.times)

    def _find(self, columns: Columns) -> File:
        file = self._files.get(columns)
        if file is None:
            file = self._files[columns] = File(self._choose_path(len(self._files)), columns)
            self._stack.enter_context(file.writer)
        return file


@dataclasses.dataclass(frozen=True)
class _Part:
    """Rows of a batch that one version answered."""

    version: str
    columns: Columns
    table: pa.Table
    times: list[int]


def _to_part(batch: Batch, label: str, names: Sequence[str], members: list[Row]) -> _Part:
    inputs = cast(Columns, tuple(batch.inputs.get(label, ())))
    outputs = cast(Columns, tuple((name, batch.outputs[name]) for name in names))
    arrays, layout = _convert(members, Layout(inputs, outputs))
    times, of_all = _describe(batch, label, members)
    columns = layout.columns
    return _Part(label, columns, pa.Table.from_arrays([*of_all, *arrays], names=[name for name, _ in columns]), times)


def _group(batch: Batch) -> dict[tuple[str, tuple[str, ...]], list[Row]]:
    """Group rows by the version that answered, and by what was answered."""
    groups: dict[tuple[str, tuple[str, ...]], list[Row]] = collections.defaultdict(list)
    for call in batch.calls:
        names = tuple(call.names)
        for row in range(call.rows):
            groups[call.version_of(row), names].append(Row(call, row))
    return groups


def _convert(members: list[Row], layout: Layout) -> tuple[list[pa.Array], Layout]:
    """Convert inputs and outputs; returns the layout with the types that their values have."""
    arrays: list[pa.Array] = []
    inputs: list[tuple[str, contract.ColumnType]] = []
    outputs: list[tuple[str, contract.ColumnType]] = []
    cells = [(row.call.given, row.position) for row in members]
    for name, type_ in layout.inputs:
        column = [given[name][position] if name in given else None for given, position in cells]
        array, found = values.to_array(column, type_)
        arrays.append(array)
        inputs.append((name, found))
    for index, (name, type_) in enumerate(layout.outputs):
        array, found = values.to_array([row.call.values[index][row.position] for row in members], type_)
        arrays.append(array)
        outputs.append((name, found))
    return arrays, Layout(tuple(inputs), tuple(outputs))


def _describe(batch: Batch, label: str, members: list[Row]) -> tuple[list[int], list[pa.Array]]:
    """Describe predictions by the columns that all have; returns their times in milliseconds too."""
    described = [_describe_one(row) for row in members]
    times = [each[0] for each in described]
    count = len(members)
    columns: list[list[Any]] = [
        [batch.deployment] * count,
        [batch.revision] * count,
        [label] * count,
        [each[1] for each in described],
        [each[2] for each in described],
        [each[3] for each in described],
        [row.position for row in members],
        [row.call.seconds for row in members],
    ]
    types = [frames.PHYSICAL_TYPES[type_] for _, type_ in layouts.OF_ALL[1:]]
    at = pa.array(times, pa.timestamp("ms", tz="UTC")).cast(frames.INSTANT)
    return times, [at, *(pa.array(column, type_) for column, type_ in zip(columns, types, strict=True))]


def _describe_one(row: Row) -> tuple[int, str | None, str | None, str | None]:
    """Say when a row was predicted, its arm, unit and id, as the id has them; without an id only when."""
    number, position = divmod(row.position, prediction_ids.MAX_ROWS)
    if number >= len(row.call.ids):
        return row.call.at_ms, None, None, None
    text = row.call.ids[number]
    is_alone = row.call.rows - number * prediction_ids.MAX_ROWS == 1
    shown = text if is_alone else f"{text}.{position}"
    try:
        predicted = prediction_ids.read_kept(text, row=position)
    except errors.BadDataError:
        return row.call.at_ms, None, None, shown
    return predicted.predicted_at, predicted.answer.arm or None, predicted.unit, shown
