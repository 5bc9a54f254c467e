"""Versions of models in memory: each is loaded once, warmed, and then predicts."""

import dataclasses
import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from shared import contract, errors
from shared.ml import frames, inference, predictions
from shared.ml.contributions.explainer import Contributions, Explainer
from workers.prediction import columns
from workers.prediction.online import batching, rows
from workers.prediction.online.onnx_models import OnnxModel

_log = structlog.get_logger()
_TOLERANCE = 1e-5
_TEXT, _TIME = "", "2000-01-01T00:00:00Z"
QUICK_SECONDS = 0.0005
"""What is quick enough for the event loop: a tenth of the time for which Python lets a thread go on while others wait.
"""
_MAX_QUICK_ROWS = 256
_TRIALS = 5


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a version predicts for some rows: its columns, in order, each with a value for each row."""

    columns: list[contract.Column]
    values: list[list[Any]]
    """A number that is not finite is None."""


class Version:
    """A version of a model that has been loaded and has predicted a row."""

    def __init__(self, pin: contract.ModelPin, path: Path) -> None:
        """Load and warm it; raises what loading raises, and BadModelError when it can't predict."""
        began = time.monotonic()
        self.pin = pin
        self._model = inference.Model(path, sha256=pin.sha256, signature=pin.signature, problem=pin.problem)
        self._added = columns.describe_added(self._model)
        self._described = _columns_of(pin.signature)
        self.column_names: tuple[str, ...] = tuple(column["name"] for column in self._described)
        """The columns that it takes, in order."""
        self.may_batch = batching.may_batch(self._model.pipeline)
        """Whether the library may predict requests together."""
        self._batchers: dict[str, batching.Batcher] = {}
        self._onnx: OnnxModel | None = None
        self.quick_rows = 0
        """How many rows it answers within `QUICK_SECONDS`, as far as that was measured; 0 where the library answers."""
        self._answer_by_own_onnx()
        self._warm()
        _log.info("version_loaded", version=pin.label, seconds=round(time.monotonic() - began, 3))

    def predict(self, given: rows.Columns, *, rows_count: int, asker: str | None = None) -> Answer:
        """Predict rows; BadDataError when they don't fit the model.

        What one asker, a deployment, asks from several threads may be predicted together.
        """
        answer = self.predict_quickly(given)
        if answer is not None:
            return answer
        if self.may_batch and asker is not None:
            batcher = self._batchers.get(asker) or self._batchers.setdefault(asker, batching.Batcher(self._described))
            predicted = batcher.predict(self._predict_by_library, given, rows_count)
        else:
            predicted = self._predict_by_library(given, rows_count)
        return Answer(self._added.columns, self._added.to_lists(predicted))

    def predict_quickly(self, given: rows.Columns) -> Answer | None:
        """Predict rows by ONNX Runtime; None where only the library can."""
        onnx = self._onnx
        feed = None if onnx is None else onnx.feed(given)
        if onnx is None or feed is None:
            return None
        try:
            predicted = onnx.predict(feed)
        except Exception:  # noqa: BLE001 - the runtime's exceptions have no common base class.
            # A row that it refuses is refused by the library too, which tells a bad row from a broken model.
            return None
        return Answer(self._added.columns, self._added.to_lists(predicted))

    def attach(self, path: Path) -> bool:
        """Answer by an exported ONNX model from now on, if it answers an example as the library does."""
        model = OnnxModel(path, signature=self.pin.signature, problem=self.pin.problem)
        example = {name: [value] for name, value in make_example(self.pin.signature).items()}
        feed = model.feed(example)
        try:
            agrees = feed is None or _is_close(model.predict(feed), self._predict_by_library(example, 1))
        except errors.BadDataError:
            agrees = True
        if agrees:
            self._onnx = model
            self.quick_rows = self._measure_quick_rows(example)
        _log.info("onnx_attached", version=self.pin.label, agrees=agrees, quick_rows=self.quick_rows)
        return agrees

    def _answer_by_own_onnx(self) -> None:
        """Answer by ONNX Runtime from the first row on, where the model itself came as ONNX."""
        graph = self._model.onnx
        if graph is not None:
            self._onnx = OnnxModel(graph, signature=self.pin.signature, problem=self.pin.problem)
            self.quick_rows = self._measure_quick_rows(
                {name: [value] for name, value in make_example(self.pin.signature).items()}
            )

    def _measure_quick_rows(self, example: Mapping[str, list[Any]]) -> int:
        """Measure how many rows ONNX Runtime answers within `QUICK_SECONDS`: twice as many as long as it does."""
        # An empty text would be the library's.
        row = {name: [value or "-" if isinstance(value, str) else value] for name, [value] in example.items()}
        quick, count = 0, 1
        while count <= _MAX_QUICK_ROWS:
            given = {name: values * count for name, values in row.items()}
            if min(self._time(given) for _ in range(_TRIALS)) > QUICK_SECONDS:
                break
            quick, count = count, count * 2
        return quick

    def _time(self, given: rows.Columns) -> float:
        """Measure the processor time of predicting rows, which what else the machine does leaves as it is."""
        began = time.thread_time()
        answer = self.predict_quickly(given)
        return time.thread_time() - began if answer is not None else float("inf")

    @property
    def platform(self) -> str:
        """What predicts: ONNX Runtime, or the library that fitted the model."""
        return "millrace_sklearn" if self._onnx is None else "onnxruntime_onnx"

    def _predict_by_library(self, given: rows.Columns, rows_count: int) -> predictions.Predictions:
        try:
            frame = rows.make_frame(given, rows=rows_count, signature=self.pin.signature)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            # What can't even be read is the client's, and no failure of this version.
            raise errors.BadDataError(f"these rows can't be read ({type(error).__name__})") from error
        return self._model.predict(frame)

    @functools.cached_property
    def _takes_apart(self) -> tuple[Explainer | None, str]:
        """What takes its predictions apart, or why nothing can; found out once somebody asks."""
        try:
            found = Explainer(self._model.pipeline, problem=self.pin.problem, columns=self.column_names)
        except errors.BadModelError as error:
            return None, error.message
        return found, ""

    @property
    def explainer(self) -> Explainer | None:
        """What tells how much each column adds to a prediction; None where that isn't known."""
        return self._takes_apart[0]

    @property
    def unexplainable(self) -> str:
        """Why there is no explainer; empty if there is one."""
        return self._takes_apart[1]

    def explain(self, given: rows.Columns, labels: list[Any]) -> Contributions:
        """Tell how much each column adds to the margin of rows, by the library; only with an explainer.

        For classes it is the margin of each row's label. Raises BadDataError.
        """
        if self.explainer is None:
            raise errors.BadModelError(self.unexplainable)
        frame = rows.make_frame(given, rows=len(labels), signature=self.pin.signature)
        return self.explainer.explain(frame, labels)

    @property
    def outputs(self) -> list[contract.Column]:
        """The columns that it predicts."""
        return self._added.columns

    def _warm(self) -> None:
        """Predict a row that the training data may have had; what it says of that row's values is no failure."""
        example = make_example(self.pin.signature)
        try:
            self.predict({name: [value] for name, value in example.items()}, rows_count=1)
        except errors.BadDataError as error:
            _log.info("example_refused", version=self.pin.label, reason=error.message)


def make_example(signature: Mapping[str, Any]) -> dict[str, Any]:
    """Make a row that fits a signature, with the first category of each text column that has some."""
    return {column["name"]: _make_value(column) for column in _columns_of(signature)}


def _columns_of(signature: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns: list[dict[str, Any]] = signature["columns"]
    return columns


def _make_value(column: Mapping[str, Any]) -> Any:
    if column["type"] == "boolean":
        return False
    if column["type"] in frames.NUMERIC:
        return 0
    if column["type"] in frames.TEMPORAL:
        return _TIME
    return next(iter(column.get("categories", [])), _TEXT)


def _is_close(one: predictions.Predictions, other: predictions.Predictions) -> bool:
    """Return whether two ways of predicting agree: equal labels, and other numbers within 1e-5."""
    for field in dataclasses.fields(predictions.Predictions):
        values, expected = getattr(one, field.name), getattr(other, field.name)
        if values is None or expected is None:
            continue
        if expected.dtype.kind == "f":
            if not np.allclose(values, expected, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True):
                return False
        elif values.tolist() != expected.tolist():
            return False
    return True
