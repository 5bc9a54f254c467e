"""Which columns a model's predictions become, by its problem."""

import dataclasses

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

    def to_arrays(self, made: predictions.Predictions) -> list[pa.Array]:
        """Give the columns' values; a number that is not finite is missing."""
        values = self._values(made)
        return [
            pa.array(_finite(column), type=frames.PHYSICAL_TYPES[described.type], from_pandas=True)
            for described, column in zip(self.columns, values, strict=True)
        ]

    def _values(self, made: predictions.Predictions) -> list[targets.Values]:
        values = [made.prediction]
        if self.labels:
            names = np.asarray(self.labels, dtype=object)
            listed = [self.separator.join(names[row == 1]) for row in made.prediction]
            values = [np.asarray(listed, dtype=object), *made.prediction.T]
        for more in (made.probability, made.quantiles):
            values += [] if more is None else [*more.T]
        for one in (made.lower, made.upper):
            values += [] if one is None else [one]
        return [*values, made.decision] if self.has_score and made.decision is not None else values


def describe_added(model: inference.Model, *, prefix: str = "") -> AddedColumns:
    """Say which columns a model's predictions become; all their names begin with the prefix."""
    labels = [targets.format_label(label) for label in model.classes or []] if model.problem == "multilabel" else []
    named: list[tuple[str, contract.ColumnType]] = [(PREDICTION, _type(model))]
    named += [(f"{PREDICTION}_{label}", "integer") for label in labels]
    named += [(f"{PROBABILITY}{name}", "number") for name in _probable(model)]
    named += [(f"{QUANTILE}{level:g}", "number") for level in model.levels]
    named += [(name, "number") for name in (LOWER, UPPER) if model.has_interval]
    has_score = model.problem == "anomaly"
    named += [(SCORE, "number")] if has_score else []
    columns = [contract.Column(name=f"{prefix}{name}", type=kind) for name, kind in named]
    return AddedColumns(columns, labels, f"{model.signature.get('separator', ',')}", has_score)


def _type(model: inference.Model) -> contract.ColumnType:
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


def _probable(model: inference.Model) -> list[str]:
    if not model.has_probability:
        return []
    if model.problem == "clustering":
        return [f"{cluster}" for cluster in range(model.clusters)]
    return [targets.format_label(label) for label in model.classes or []]


def _finite(values: targets.Values) -> targets.Values:
    if values.dtype.kind != "f":
        return np.ascontiguousarray(values)
    return np.where(np.isfinite(values), values, np.nan)
