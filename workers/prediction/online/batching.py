"""Requests that wait while the library predicts are predicted together, where that changes no answer.

docs/decisions/serving.md, "Requests that wait for the library are predicted together"
"""

import dataclasses
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import structlog
from sklearn import compose, impute, pipeline, preprocessing

from shared import errors
from shared.ml import (
    column_transformers,
    encoders,
    frames,
    imputers,
    integers,
    light_gbm,
    predictions,
    selection,
    transformers,
)
from shared.ml.contributions import margins
from workers.prediction.online import rows

_log = structlog.get_logger()
Predict = Callable[[rows.Columns, int], predictions.Predictions]
MAX_ROWS = 512
"""How many rows are predicted together; a request of more waits for nobody."""
CHECKED = 16
"""How many batches are also predicted request by request, before a version is trusted to answer both alike."""
PATIENCE_SECONDS = 5.0
"""How long a request waits for others before it is predicted alone, should somebody's prediction not end."""
_ESTIMATORS = (*margins.AVERAGES, *margins.SUMS, light_gbm.LGBMClassifier, light_gbm.LGBMRegressor)
_TRANSFORMERS = (
    column_transformers.Cast,
    column_transformers.Rename,
    encoders.FrequencyEncode,
    encoders.IntegerCategories,
    encoders.TargetEncode,
    imputers.IntegerImputer,
    impute.SimpleImputer,
    preprocessing.KBinsDiscretizer,
    preprocessing.MinMaxScaler,
    preprocessing.OneHotEncoder,
    preprocessing.OrdinalEncoder,
    preprocessing.RobustScaler,
    preprocessing.StandardScaler,
    selection.Selection,
    transformers.Clip,
    transformers.DateParts,
    transformers.Floats,
    transformers.Missing,
)
"""What computes each row by itself, in the same way however many there are: no product of matrices is among them."""
_NUMBERS = frozenset({int, float, bool, type(None)})
_OTHERS = frozenset({str, type(None), np.datetime64})


def may_batch(model: Any) -> bool:
    """Return whether a fitted pipeline is of steps that compute each row by itself."""
    return isinstance(margins.unwrap(model[-1]), _ESTIMATORS) and _is_row_wise(model[:-1])


def _is_row_wise(fitted: Any) -> bool:
    if isinstance(fitted, pipeline.Pipeline):
        return all(_is_row_wise(step) for _, step in fitted.steps)
    if isinstance(fitted, compose.ColumnTransformer):
        return all(_is_row_wise(transformer) for _, transformer, columns in fitted.transformers_ if len(columns))
    if isinstance(fitted, preprocessing.FunctionTransformer):
        return fitted.func is None
    return isinstance(fitted, _TRANSFORMERS) or (isinstance(fitted, str) and fitted in ("passthrough", "drop"))


@dataclasses.dataclass(eq=False)
class _Request:
    given: rows.Columns
    rows_count: int
    turn: threading.Event = dataclasses.field(default_factory=threading.Event)
    answer: predictions.Predictions | None = None
    leads: bool = False
    """Whether its own thread is to predict, for itself and those that wait."""


class Batcher:
    """Predicts what a deployment is asked of a version; used from threads, each of which waits for its own request."""

    def __init__(self, described: Sequence[Mapping[str, Any]]) -> None:
        """Begin with nobody waiting; the version's columns are described as in its signature."""
        self._numbers = [column["name"] for column in described if column["type"] in frames.NUMERIC]
        self._others = [column["name"] for column in described if column["type"] not in frames.NUMERIC]
        self._names = [column["name"] for column in described]
        self._lock = threading.Lock()
        self._waiting: list[_Request] = []
        self._is_busy = False
        self._checked = 0
        self.is_trusted = True
        """Whether it is not known to answer otherwise when requests are predicted together."""

    def predict(self, predict: Predict, given: rows.Columns, rows_count: int) -> predictions.Predictions:
        """Predict a request's rows: at once if nobody else does, else with those that wait.

        `predict` is the version's, a function of columns and how many rows they have. Raises what that raises for these
        rows alone.
        """
        if not self.is_trusted or rows_count > MAX_ROWS or not self._is_usual(given):
            return predict(given, rows_count)
        request = _Request(given, rows_count)
        with self._lock:
            request.leads, self._is_busy = not self._is_busy, True
            if not request.leads:
                self._waiting.append(request)
        if not request.leads:
            self._wait(request)
        if request.leads:
            self._lead(predict, request)
        # What failed together is predicted alone, so that each is told of its own rows.
        return request.answer if request.answer is not None else predict(given, rows_count)

    def _wait(self, request: _Request) -> None:
        """Wait for an answer, or to lead; not for ever, as some model may hang."""
        if request.turn.wait(PATIENCE_SECONDS):
            return
        with self._lock:
            if request in self._waiting:
                self._waiting.remove(request)
                return
        # Somebody has just begun to predict it, or has let it lead.
        request.turn.wait(PATIENCE_SECONDS)

    def _lead(self, predict: Predict, request: _Request) -> None:
        """Predict a request with those that wait, and let the next one lead."""
        others = self._take_waiting(MAX_ROWS - request.rows_count)
        try:
            if others:
                self._predict_together(predict, [request, *others])
            else:
                request.answer = predict(request.given, request.rows_count)
        except Exception as error:
            if not others:
                raise
            _log.info("batch_failed", requests=len(others) + 1, error=errors.to_reason(error))
        finally:
            self._pass_on()
            for each in others:
                each.turn.set()

    def _take_waiting(self, room: int) -> list[_Request]:
        with self._lock:
            taken = []
            while self._waiting and self._waiting[0].rows_count <= room:
                taken.append(self._waiting.pop(0))
                room -= taken[-1].rows_count
            return taken

    def _pass_on(self) -> None:
        """Let the one who has waited longest lead, if there is one."""
        with self._lock:
            successor = self._waiting.pop(0) if self._waiting else None
            self._is_busy = successor is not None
            if successor is not None:
                successor.leads = True
                successor.turn.set()

    def _predict_together(self, predict: Predict, together: list[_Request]) -> None:
        joined = {name: [value for each in together for value in each.given[name]] for name in self._names}
        predicted = predict(joined, sum(each.rows_count for each in together))
        parts = _split(predicted, [each.rows_count for each in together])
        if self._checked < CHECKED:
            self._checked += 1
            alone = [predict(each.given, each.rows_count) for each in together]
            if not all(map(_are_equal, parts, alone)):
                self.is_trusted = False
                _log.warning("batching_changes_answers")
                parts = alone
        for each, part in zip(together, parts, strict=True):
            each.answer = part

    def _is_usual(self, given: rows.Columns) -> bool:
        """Return whether values are of the types that their columns' neighbours have too, whoever sends them."""
        try:
            for name in self._numbers:
                values = given[name]
                if not _NUMBERS.issuperset(map(type, values)):
                    return False
                if any(value is not None and abs(value) >= integers.LIMIT for value in values):
                    return False
            return all(_OTHERS.issuperset(map(type, given[name])) for name in self._others)
        except KeyError:
            return False


def _split(predicted: predictions.Predictions, counts: list[int]) -> list[predictions.Predictions]:
    ends = list(itertools.accumulate(counts))
    names = [field.name for field in dataclasses.fields(predicted) if getattr(predicted, field.name) is not None]
    return [
        predictions.Predictions(**{name: getattr(predicted, name)[end - count : end] for name in names})
        for count, end in zip(counts, ends, strict=True)
    ]


def _are_equal(one: predictions.Predictions, other: predictions.Predictions) -> bool:
    """Return whether two predictions are equal to the last bit."""
    for field in dataclasses.fields(predictions.Predictions):
        values, expected = getattr(one, field.name), getattr(other, field.name)
        if (values is None) != (expected is None):
            return False
        if values is None:
            continue
        if values.dtype != expected.dtype or not _has_equal_bits(values, expected):
            return False
    return True


def _has_equal_bits(values: predictions.Values, expected: predictions.Values) -> bool:
    if values.dtype.kind == "f":
        return values.tobytes() == expected.tobytes()
    return bool(values.tolist() == expected.tolist())
