"""What MLflow calls to load an exported model; copied into the exported folder with the code that it imports."""

import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd

from shared.ml import inference, predictions, signatures


def _load_pyfunc(path: str) -> "Model":
    """Load the model in a folder; MLflow calls this function by its name."""
    return Model(pathlib.Path(path))


class Model:
    """A model that takes the raw columns that it was trained on."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Load the stored model; raises when the file is not the one that was exported."""
        self._metadata = json.loads((folder / "model.json").read_text())
        self._model = inference.Model(
            folder / "model.skops",
            sha256=self._metadata["sha256"],
            signature=self._metadata["signature"],
            problem=self._metadata["problem"],
        )

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict each row; with the parameter `output` set to `all`, return a frame of all that the model predicts."""
        frame = _to_frame(pd.DataFrame(model_input), self._metadata["signature"])
        predicted = self._model.predict(frame)
        if (params or {}).get("output") == "all":
            return _to_columns(predicted, classes=self._model.classes)
        return predicted.prediction


def _to_frame(frame: pd.DataFrame, signature: signatures.Signature) -> pd.DataFrame:
    """Convert columns to the types that the model was trained on."""
    columns: Any = signature["columns"]
    converted = {
        column["name"]: _to_series(frame[column["name"]], column["type"])
        for column in columns
        if column["name"] in frame.columns
    }
    return pd.DataFrame(converted, index=pd.RangeIndex(len(frame)))


def _to_series(values: Any, column_type: str) -> Any:
    if column_type in ("timestamp", "date"):
        return _to_instants(pd.Series(values))
    if column_type == "string":
        texts = pd.Series(values).astype(object).reset_index(drop=True)
        return texts.where(texts.notna(), np.nan)
    return pd.to_numeric(pd.Series(values)).astype(np.float64).reset_index(drop=True)


def _to_instants(values: Any) -> Any:
    """Read texts as microseconds, because pandas' nanoseconds only reach from the year 1677 to 2262."""
    if values.dtype.kind in "iufM":
        return pd.to_datetime(values, utc=True).dt.as_unit("us").reset_index(drop=True)
    return pd.Series(pd.DatetimeIndex(values.astype(object), dtype="datetime64[us, UTC]"))


def _to_columns(predicted: predictions.Predictions, *, classes: list[Any] | None) -> pd.DataFrame:
    """Put all that the model predicts into columns, named as in the datasets that Millrace makes of predictions."""
    columns: dict[str, Any] = {}
    if predicted.prediction.ndim == 1:
        columns["prediction"] = predicted.prediction
    else:
        columns |= {
            f"prediction_{label}": predicted.prediction[:, index]
            for index, label in enumerate(classes or range(predicted.prediction.shape[1]))
        }
    columns |= {
        "prediction_lower": predicted.lower,
        "prediction_upper": predicted.upper,
        "anomaly_score": predicted.decision,
    }
    if predicted.probability is not None:
        for index, label in enumerate(classes or range(predicted.probability.shape[1])):
            columns[f"probability_{label}"] = predicted.probability[:, index]
    return pd.DataFrame({name: values for name, values in columns.items() if values is not None and values.ndim == 1})
