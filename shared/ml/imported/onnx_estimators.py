"""Models that came as ONNX, as scikit-learn estimators that can be stored safely: ONNX Runtime answers for them.

The graph has an input for each column, (rows, 1), and the outputs that exports have; whoever imports a model writes it
so (`workers/training/imports/onnx_graph.py`). ONNX Runtime is loaded when a model is used.
docs/decisions/imports.md, "A model made elsewhere is stored as an estimator of ours".
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import base
from sklearn.utils import metaestimators

from shared import errors

Values = npt.NDArray[Any]
Label = str | int | bool
Kind = Literal["number", "text", "instant"]
_LACKS_MEMORY = ("bad alloc", "bad_alloc", "failed to allocate", "out of memory")


class _Onnx(base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """What both estimators share.

    `graph` are the bytes of the model as uint8; `kinds` says for each column, in order, what its input takes: float64
    numbers, texts, or int64 microseconds since 1970; `outputs` names the outputs by the fields of `Predictions`.
    """

    def __init__(self, graph: Values, kinds: Mapping[str, Kind], outputs: Mapping[str, str]) -> None:
        """Take a graph that ONNX Runtime can load."""
        self.graph = graph
        self.kinds = kinds
        self.outputs = outputs
        self._session: Any = None

    def fit(self, X: Any, y: Any = None) -> Any:  # noqa: ARG002, N803
        """Refuse: what came as ONNX was fitted elsewhere."""
        raise errors.BadModelError("a model that was imported as ONNX can't be fitted; train it where it was made")

    def __sklearn_is_fitted__(self) -> bool:
        """Return that it is: it was fitted elsewhere."""
        return True

    @property
    def n_features_in_(self) -> int:
        """How many columns it takes."""
        return len(self.kinds)

    @property
    def onnx_bytes(self) -> bytes:
        """The bytes of the graph, by which it is told from estimators of other kinds."""
        return bytes(self.graph.tobytes())

    @property
    def session(self) -> Any:
        """ONNX Runtime's session, on the thread that asks."""
        if self._session is None:
            self._session = open_session(self.onnx_bytes)
        return self._session

    def run(self, frame: pd.DataFrame) -> dict[str, Values]:
        """Compute the outputs, by the fields of `Predictions`; ValueError for rows that the graph refuses."""
        feed = {name: _to_input(frame[name], kind) for name, kind in self.kinds.items()}
        session = self.session
        try:
            values = session.run(list(self.outputs.values()), feed)
        except Exception as error:
            # The runtime's exceptions have no common base class.
            _raise_lack_of_memory(error)
            raise ValueError(f"ONNX Runtime refuses these rows: {error}") from error
        return {field: np.asarray(array) for field, array in zip(self.outputs, values, strict=True)}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the session, which is made again from the graph."""
        return {name: value for name, value in vars(self).items() if name != "_session"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a stored state."""
        self.__dict__.update(state)
        self._session = None


def _has_probability(estimator: Any) -> bool:
    return "probability" in estimator.outputs


class OnnxClassifier(base.ClassifierMixin, _Onnx):  # type: ignore[misc]  # scikit-learn has no types.
    """A classifier that came as ONNX; `classes` are sorted, and the columns of its probabilities are in their order."""

    def __init__(
        self, graph: Values, kinds: Mapping[str, Kind], outputs: Mapping[str, str], classes: list[Label]
    ) -> None:
        """Take a graph that ONNX Runtime can load."""
        super().__init__(graph, kinds, outputs)
        self.classes = classes

    @property
    def classes_(self) -> Values:
        """The classes, in the type of the target's labels."""
        return np.asarray(self.classes, dtype=object if isinstance(self.classes[0], str) else None)

    def predict(self, X: pd.DataFrame) -> Values:  # noqa: N803
        """Predict the labels."""
        return self.predict_with_probability(X)[0]

    @metaestimators.available_if(_has_probability)  # type: ignore[untyped-decorator]  # scikit-learn has no types.
    def predict_proba(self, X: pd.DataFrame) -> Values:  # noqa: N803
        """Predict each class's probability, (rows, classes)."""
        return np.asarray(self.run(X)["probability"], dtype=np.float64)

    def predict_with_probability(self, X: pd.DataFrame) -> tuple[Values, Values | None]:  # noqa: N803
        """Predict the labels, (rows,), and each class's probability, (rows, classes), if there are any, at once."""
        values = self.run(X)
        probability = values.get("probability")
        return values["prediction"].astype(self.classes_.dtype), probability


class OnnxRegressor(base.RegressorMixin, _Onnx):  # type: ignore[misc]  # scikit-learn has no types.
    """A regressor that came as ONNX."""

    def predict(self, X: pd.DataFrame) -> Values:  # noqa: N803
        """Predict the numbers."""
        return np.asarray(self.run(X)["prediction"], dtype=np.float64)


def open_session(graph: bytes) -> Any:
    """Open a session on the thread that asks; BadModelError where ONNX Runtime isn't installed or can't load it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise errors.BadModelError(
            f"ONNX Runtime isn't installed in this worker, and the model came as ONNX: install onnxruntime; {error}"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # What the largest batch took isn't kept for the next one.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        _raise_lack_of_memory(error)
        raise errors.BadModelError(f"ONNX Runtime can't load this model: {error}") from error


def _raise_lack_of_memory(error: Exception) -> None:
    """Raise MemoryError where the runtime's error, which has no class of its own, tells of a lack of memory."""
    if any(words in f"{error}".lower() for words in _LACKS_MEMORY):
        raise MemoryError(f"{error}") from error


def _to_input(values: pd.Series, kind: Kind) -> Values:
    """Convert a column to an input: a missing text is empty, a missing time the smallest int64."""
    if kind == "text":
        array: Values = values.where(values.notna(), "").to_numpy(dtype=object)
    elif kind == "instant":
        array = values.to_numpy(dtype="datetime64[us]").astype(np.int64)
    else:
        array = values.to_numpy(dtype=np.float64)
    return array.reshape(-1, 1)
