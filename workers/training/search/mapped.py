"""Keeps tables and arrays as files that are mapped into memory, so that all processes of a host share one copy.

A folder has one .npy file with all columns of numbers and one with all columns of times; each column of texts as codes
with their levels, and each of exact integers with its gaps; and the arrays with one entry per row. What is read equals
what was written, value for value.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared.ml import integers
from shared.recipe import conditions
from workers.training import tables

_FRAME, _ARRAYS = "frame.json", "arrays.json"
_FLOAT, _TEXT, _TIME, _INTEGER = "float", "text", "time", "integer"
_ROW_ARRAYS = ("values", "weights", "groups", "times")
Array = npt.NDArray[Any]


def write_table(table: tables.Table, folder: Path) -> None:
    """Write the rows of an experiment into a new folder."""
    row_arrays = {name: getattr(table, name) for name in _ROW_ARRAYS}
    write_arrays({name: array for name, array in row_arrays.items() if array is not None}, folder)
    frame = table.frame
    columns = {name: _type_of(frame[name]) for name in frame.columns}
    for column_type in (_FLOAT, _TIME):
        _save_block(
            folder / f"{column_type}.npy",
            [frame[name] for name, its_type in columns.items() if its_type == column_type],
        )
    for index, name in enumerate(columns):
        if columns[name] == _TEXT:
            _save(folder, f"column{index}", frame[name].to_numpy())
        elif columns[name] == _INTEGER:
            _save(folder, f"column{index}", frame[name].to_numpy(dtype=np.int64, na_value=0))
            _save(folder, f"column{index}-gaps", frame[name].isna().to_numpy())
    description = {
        "rows": len(frame),
        "columns": [*columns.items()],
        "left_out": table.left_out,
        "labels": table.labels,
        "kept": None if table.kept is None else table.kept.model_dump(),
    }
    (folder / _FRAME).write_text(json.dumps(description))


def read_table(folder: Path) -> tables.Table:
    """Map the rows of an experiment; the frame's numbers are read-only, and shared between processes."""
    description = json.loads((folder / _FRAME).read_text())
    types = {column_type for _, column_type in description["columns"]}
    blocks = {
        column_type: iter(_map(folder / f"{column_type}.npy"))
        for column_type in (_FLOAT, _TIME)
        if column_type in types
    }
    columns: dict[str, Any] = {}
    for index, (name, column_type) in enumerate(description["columns"]):
        if column_type == _TEXT:
            columns[name] = _load(folder, f"column{index}", is_text=True)
        elif column_type == _INTEGER:
            numbers, gaps = (_load(folder, f"column{index}{part}", is_text=False) for part in ("", "-gaps"))
            columns[name] = pd.arrays.IntegerArray(numbers, gaps)
        elif column_type == _TIME:
            columns[name] = pd.Series(next(blocks[_TIME]).view("M8[us]")).dt.tz_localize("UTC")
        else:
            columns[name] = next(blocks[_FLOAT])
    # Without a copy each column stays a view of the mapped file.
    frame = pd.DataFrame(columns, index=pd.RangeIndex(description["rows"]), columns=list(columns), copy=False)
    arrays: dict[str, Any] = {"values": None} | read_arrays(folder)
    kept = description["kept"]
    return tables.Table(
        frame,
        left_out=description["left_out"],
        labels=description["labels"],
        kept=None if kept is None else conditions.KeptRows(**kept),
        **arrays,
    )


def write_arrays(arrays: Mapping[str, Array], folder: Path) -> None:
    """Write arrays under their names into a new folder; arrays of objects hold texts or NaN."""
    folder.mkdir(mode=0o700)
    for name, array in arrays.items():
        _save(folder, f"array-{name}", array)
    (folder / _ARRAYS).write_text(json.dumps({name: array.dtype == object for name, array in arrays.items()}))


def read_arrays(folder: Path) -> dict[str, Array]:
    """Read arrays by their names, as copies: not every scikit-learn estimator accepts a read-only target."""
    is_text_by_name: dict[str, bool] = json.loads((folder / _ARRAYS).read_text())
    return {
        name: np.array(_load(folder, f"array-{name}", is_text=is_text)) for name, is_text in is_text_by_name.items()
    }


def _type_of(column: "pd.Series[Any]") -> str:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return _TIME
    if integers.is_exact(column):
        return _INTEGER
    return _TEXT if column.dtype == object else _FLOAT


def _to_numbers(column: "pd.Series[Any]") -> Array:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return np.asarray(column.dt.tz_localize(None).to_numpy().astype("M8[us]").view(np.int64))
    return np.asarray(column.to_numpy(dtype=np.float64))


def _save_block(path: Path, columns: list["pd.Series[Any]"]) -> None:
    """Write columns of one type as the rows of one array, one after another, so that only one is in memory twice."""
    if not columns:
        return
    first = _to_numbers(columns[0])
    block = np.lib.format.open_memmap(path, mode="w+", dtype=first.dtype, shape=(len(columns), len(first)))
    with path.open("r+b") as file:
        _reserve(file, path.stat().st_size)
    for index, column in enumerate(columns):
        block[index] = _to_numbers(column)
    block.flush()


def _save(folder: Path, name: str, array: Array) -> None:
    if array.dtype == object:
        array, levels = pd.factorize(array)
        (folder / f"{name}.json").write_text(json.dumps(levels.tolist()))
        array = array.astype(np.int32)
    with (folder / f"{name}.npy").open("wb") as file:
        _reserve(file, array.nbytes)
        np.save(file, array, allow_pickle=False)


def _reserve(file: BinaryIO, size: int) -> None:
    """Take a file's room on the disk, and raise OSError when there is too little of it.

    Without room, writing to a mapping kills the process, and numpy's own writing raises an error that doesn't say why.
    """
    if hasattr(os, "posix_fallocate") and size:
        os.posix_fallocate(file.fileno(), 0, size)


def _load(folder: Path, name: str, *, is_text: bool) -> Array:
    """Load numbers as they are mapped, and texts as objects that share their levels; a missing text is NaN."""
    array = _map(folder / f"{name}.npy")
    if not is_text:
        return array
    levels = json.loads((folder / f"{name}.json").read_text())
    # The code of a missing text is -1, so it picks the last level.
    return np.array([*levels, np.nan], dtype=object)[array]


def _map(path: Path) -> Array:
    # A plain array over the mapping: numpy's memmap class costs time in every operation.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
