"""The columns that a model's predictions become, by its problem."""

import dataclasses
import math
from typing import Any

import numpy as np
import pyarrow as pa

from shared import contract
from shared.ml import frames, inference, predictions, targets

PREDICTION = "prediction"
PROBABILITY = "probability_"
QUANTILE = "quantile_"
LOWER, UPPER = "prediction_lower", "prediction_upper"
SCORE = "anomaly_score"


@dataclasses.dataclass(frozen=True)
class AddedColumns:
    """The columns that predictions add to a table, in order."""

    columns: list[contract.Column]
    labels: list[str]
    separator: str
    has_score: bool

    def to_arrays(self, predicted: predictions.Predictions) -> list[pa.Array]:
        """Convert predictions to the columns' values; a number that is not finite becomes null."""
        values = self._to_values(predicted)
        return [
            pa.array(_blank_non_finite(array), type=frames.PHYSICAL_TYPES[column.type], from_pandas=True)
            for column, array in zip(self.columns, values, strict=True)
        ]

    def to_lists(self, predicted: predictions.Predictions) -> list[list[Any]]:
        """Convert predictions to the columns' values as JSON has them; a number that is not finite becomes None."""
        return [
            [value if math.isfinite(value) else None for value in array.tolist()]
            if array.dtype.kind == "f"
            else array.tolist()
            for array in self._to_values(predicted)
        ]

    def _to_values(self, predicted: predictions.Predictions) -> list[targets.Values]:
        values = [predicted.prediction]
        if self.labels:
            names = np.asarray(self.labels, dtype=object)
            texts = [self.separator.join(names[row == 1]) for row in predicted.prediction]
            values = [np.asarray(texts, dtype=object), *predicted.prediction.T]
        for matrix in (predicted.probability, predicted.quantiles):
            values += [] if matrix is None else [*matrix.T]
        for bound in (predicted.lower, predicted.upper):
            values += [] if bound is None else [bound]
        return [*values, predicted.decision] if self.has_score and predicted.decision is not None else values


def describe_added(model: inference.Model, *, prefix: str = "") -> AddedColumns:
    """Describe the columns that a model's predictions become; all their names begin with the prefix."""
    labels = [targets.format_label(label) for label in model.classes or []] if model.problem == "multilabel" else []
    named: list[tuple[str, contract.ColumnType]] = [(PREDICTION, _prediction_type(model))]
    named += [(f"{PREDICTION}_{label}", "integer") for label in labels]
    named += [(f"{PROBABILITY}{name}", "number") for name in _list_probability_names(model)]
    named += [(f"{QUANTILE}{level:g}", "number") for level in model.levels]
    named += [(name, "number") for name in (LOWER, UPPER) if model.has_interval]
    has_score = model.problem == "anomaly"
    named += [(SCORE, "number")] if has_score else []
    columns = [contract.Column(name=f"{prefix}{name}", type=type_) for name, type_ in named]
    return AddedColumns(columns, labels, f"{model.signature.get('separator', ',')}", has_score)


def _prediction_type(model: inference.Model) -> contract.ColumnType:
    match model.problem:
        case "classification":
            return targets.label_type(model.classes or [])
        case "multilabel":
            return "string"
        case "clustering":
            return "integer"
        case "anomaly":
            return "boolean"
        case _:
            return "number"


def _list_probability_names(model: inference.Model) -> list[str]:
    if not model.has_probability:
        return []
    if model.problem == "clustering":
        return [f"{cluster}" for cluster in range(model.clusters)]
    return [targets.format_label(label) for label in model.classes or []]


def _blank_non_finite(values: targets.Values) -> targets.Values:
    if values.dtype.kind != "f":
        return np.ascontiguousarray(values)
    return np.where(np.isfinite(values), values, np.nan)
