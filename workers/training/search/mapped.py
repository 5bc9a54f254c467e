"""Keeps tables and arrays as files that are mapped into memory, so that all processes of a host share one copy.

A folder has its numbers and its times as one .npy file each, a column behind another; texts as codes with their levels;
and the arrays that belong to the rows. What is read back is equal to what was written, value for value.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workers.training import tables

_FRAME, _ARRAYS = "frame.json", "arrays.json"
_FLOAT, _TEXT, _TIME = "float", "text", "time"
_BESIDE = ("values", "weights", "groups", "times")
Array = npt.NDArray[Any]


def write_table(table: tables.Table, folder: Path) -> None:
    """Write the rows of an experiment into a new folder."""
    beside = {name: getattr(table, name) for name in _BESIDE}
    write_arrays({name: array for name, array in beside.items() if array is not None}, folder)
    frame = table.frame
    columns = {name: _sort_of(frame[name]) for name in frame.columns}
    for sort in (_FLOAT, _TIME):
        _save_block(folder / f"{sort}.npy", [frame[name] for name, its in columns.items() if its == sort])
    for place, name in enumerate(columns):
        if columns[name] == _TEXT:
            _save(folder, f"column{place}", frame[name].to_numpy())
    notes = {"rows": len(frame), "columns": [*columns.items()], "left_out": table.left_out, "labels": table.labels}
    (folder / _FRAME).write_text(json.dumps(notes))


def read_table(folder: Path) -> tables.Table:
    """Map the rows of an experiment; the frame's numbers are read-only, and in no process's own memory."""
    notes = json.loads((folder / _FRAME).read_text())
    sorts = {sort for _, sort in notes["columns"]}
    blocks = {sort: iter(_map(folder / f"{sort}.npy")) for sort in (_FLOAT, _TIME) if sort in sorts}
    columns: dict[str, Any] = {}
    for place, (name, sort) in enumerate(notes["columns"]):
        if sort == _TEXT:
            columns[name] = _load(folder, f"column{place}", is_text=True)
        elif sort == _TIME:
            columns[name] = pd.Series(next(blocks[_TIME]).view("M8[us]")).dt.tz_localize("UTC")
        else:
            columns[name] = next(blocks[_FLOAT])
    # Without a copy each column stays a part of the mapped file.
    frame = pd.DataFrame(columns, index=pd.RangeIndex(notes["rows"]), columns=list(columns), copy=False)
    given = {"values": None} | read_arrays(folder)
    return tables.Table(frame, left_out=notes["left_out"], labels=notes["labels"], **given)


def write_arrays(arrays: Mapping[str, Array], folder: Path) -> None:
    """Write arrays under their names into a new folder; arrays of objects hold texts or NaN."""
    folder.mkdir(mode=0o700)
    for name, array in arrays.items():
        _save(folder, f"array-{name}", array)
    (folder / _ARRAYS).write_text(json.dumps({name: array.dtype == object for name, array in arrays.items()}))


def read_arrays(folder: Path) -> dict[str, Array]:
    """Read arrays by their names, as copies: not all of scikit-learn takes a read-only target."""
    kept: dict[str, bool] = json.loads((folder / _ARRAYS).read_text())
    return {name: np.array(_load(folder, f"array-{name}", is_text=is_text)) for name, is_text in kept.items()}


def _sort_of(column: "pd.Series[Any]") -> str:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return _TIME
    return _TEXT if column.dtype == object else _FLOAT


def _numbers(column: "pd.Series[Any]") -> Array:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return np.asarray(column.dt.tz_localize(None).to_numpy().astype("M8[us]").view(np.int64))
    return np.asarray(column.to_numpy(dtype=np.float64))


def _save_block(path: Path, columns: list["pd.Series[Any]"]) -> None:
    """Write columns of one sort as the rows of one array, one after another, so that they are never held twice."""
    if not columns:
        return
    first = _numbers(columns[0])
    block = np.lib.format.open_memmap(path, mode="w+", dtype=first.dtype, shape=(len(columns), len(first)))
    for place, column in enumerate(columns):
        block[place] = _numbers(column)
    block.flush()


def _save(folder: Path, name: str, array: Array) -> None:
    if array.dtype == object:
        array, levels = pd.factorize(array)
        (folder / f"{name}.json").write_text(json.dumps(levels.tolist()))
        array = array.astype(np.int32)
    np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _load(folder: Path, name: str, *, is_text: bool) -> Array:
    """Give numbers as they are mapped, and texts as objects that share their levels; what is missing is NaN."""
    kept = _map(folder / f"{name}.npy")
    if not is_text:
        return kept
    levels = json.loads((folder / f"{name}.json").read_text())
    return np.array([*levels, np.nan], dtype=object)[kept]


def _map(path: Path) -> Array:
    # A plain array over the mapping: numpy's own class costs time in every operation.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
