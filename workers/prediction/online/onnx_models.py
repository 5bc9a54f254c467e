"""Models as ONNX Runtime runs them: for one row some hundred times as fast as by the library that fitted them.

docs/decisions/serving.md, "ONNX Runtime answers where its parity was seen"
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from shared.ml import frames, integers, predictions, signatures
from workers.prediction.online import rows

Feed = dict[str, np.typing.NDArray[Any]]
_NUMBERS = {"tensor(float)": np.float32, "tensor(double)": np.float64}
_NUMBER_TYPES = frozenset({int, float, bool, type(None)})
_TEXT_TYPES = frozenset({str, type(None)})


class OnnxModel:
    """An exported model in memory; from any thread."""

    def __init__(self, model: Path | bytes, *, signature: signatures.Signature, problem: str) -> None:
        """Load it from a file or from its bytes, to run on the thread that asks."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._problem = problem
        classes: Any = signature.get("classes") or []
        self._has_flags = problem == "anomaly" or all(isinstance(label, bool) for label in classes or [0])
        described: Any = signature["columns"]
        types = {each.name: each.type for each in self._session.get_inputs()}
        self._numbers = _group_numbers(described, types)
        others = [column for column in described if types[column["name"]] not in _NUMBERS]
        self._times = [column for column in others if column["type"] in frames.TEMPORAL]
        self._texts = [column["name"] for column in others if column["type"] not in frames.TEMPORAL]
        names = predictions.name_onnx_outputs(predictions.ONNX_NAMES, problem=problem, taken=list(types))
        present = {each.name for each in self._session.get_outputs()}
        self._fields = [field for field, name in names.items() if name in present]
        self._outputs = [names[field] for field in self._fields]

    def feed(self, given: rows.Columns) -> Feed | None:
        """Turn rows into the model's inputs; None for rows that it is not known to answer as the library does.

        These are rows that don't fit the model, whose refusal is the library's to word; whole numbers that float64
        would merge; and empty texts, which ONNX has for missing ones.
        """
        arrays: Feed = {}
        try:
            for group in self._numbers:
                numbers = group.read([given[name] for name in group.names])
                if numbers is None:
                    return None
                arrays.update(zip(group.names, numbers, strict=True))
            if self._texts:
                texts = _read_texts([given[name] for name in self._texts])
                if texts is None:
                    return None
                arrays.update(zip(self._texts, texts, strict=True))
            for column in self._times:
                arrays[column["name"]] = _read_times(given[column["name"]], column)
        except (KeyError, OverflowError):
            # A column that is missing, or a whole number that no float64 is near to.
            return None
        return arrays

    def predict(self, feed: Feed) -> predictions.Predictions:
        """Predict rows."""
        outputs = zip(self._fields, self._session.run(self._outputs, feed), strict=True)
        return predictions.Predictions(**{field: self._convert(field, values) for field, values in outputs})

    def _convert(self, field: str, values: Any) -> predictions.Values:
        array: predictions.Values = np.asarray(values)
        if field == "prediction" and self._problem in ("classification", "anomaly"):
            return array.astype(bool) if self._has_flags else array
        return array.astype(np.float64) if array.dtype.kind == "f" else array


class _Numbers:
    """Columns of numbers with inputs of one type; they are read and checked together, which for few rows is faster."""

    def __init__(self, columns: Sequence[Mapping[str, Any]], number_type: Any) -> None:
        self.names = [column["name"] for column in columns]
        self._type = number_type
        self._flags = [index for index, column in enumerate(columns) if column["type"] == "boolean"]
        self._required = [index for index, column in enumerate(columns) if column.get("required")]
        self._wholes = [index for index, column in enumerate(columns) if "whole" in column]
        self._bounds = np.array([columns[index]["whole"] for index in self._wholes]).reshape(-1, 2, 1, 1)

    def read(self, columns: list[Sequence[Any]]) -> np.typing.NDArray[Any] | None:
        """Read numbers, (columns, rows, 1), as NaN where one is missing; None where there is an unusual one.

        Usual are numbers other than infinity that float64 tells from their neighbours, for flags 0 and 1, for inputs
        of whole numbers those that they take, and where one is required not NaN.
        """
        flat = list(itertools.chain.from_iterable(columns))
        if not _NUMBER_TYPES.issuperset(map(type, flat)):
            return None
        numbers = np.array(flat, dtype=np.float64)
        if (np.abs(numbers) >= integers.LIMIT).any():
            return None
        shaped = numbers.reshape(len(columns), -1, 1)
        if self._flags:
            flags = shaped[self._flags]
            if not ((flags == 0) | (flags == 1) | np.isnan(flags)).all():
                return None
        if self._required and np.isnan(shaped[self._required]).any():
            return None
        if self._wholes:
            wholes = shaped[self._wholes]
            # NaN is neither at least nor at most anything.
            if not ((wholes >= self._bounds[:, 0]) & (wholes <= self._bounds[:, 1]) & (wholes % 1 == 0)).all():
                return None
        return shaped.astype(self._type)


def _group_numbers(described: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> list[_Numbers]:
    groups = []
    for input_type, number_type in _NUMBERS.items():
        columns = [column for column in described if types[column["name"]] == input_type]
        if columns:
            groups.append(_Numbers(columns, number_type))
    return groups


def _read_texts(columns: list[Sequence[Any]]) -> np.typing.NDArray[Any] | None:
    """Read texts, (columns, rows, 1), as ONNX has them: empty where one is missing."""
    flat = list(itertools.chain.from_iterable(columns))
    if not _TEXT_TYPES.issuperset(map(type, flat)) or "" in flat:
        return None
    if None in flat:
        flat = ["" if value is None else value for value in flat]
    return np.array(flat, dtype=object).reshape(len(columns), -1, 1)


def _read_times(values: Sequence[Any], column: Mapping[str, Any]) -> np.typing.NDArray[Any]:
    """Read times as microseconds since 1970, (rows, 1); what is missing becomes the smallest int64."""
    times = [rows.to_time(value, row=row, column=column) for row, value in enumerate(values, start=1)]
    return np.array(times, dtype="datetime64[us]").astype(np.int64).reshape(-1, 1)
