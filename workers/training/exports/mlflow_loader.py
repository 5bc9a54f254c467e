"""What MLflow calls to load this model; it stands in the exported folder, beside the code that it imports."""

import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd

from shared.ml import inference, predictions, signatures


def _load_pyfunc(path: str) -> "Model":
    """Load the model in a folder, as MLflow asks for it."""
    return Model(pathlib.Path(path))


class Model:
    """A model that takes raw columns, as it was trained on them."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Load what was stored; raises when the file is not the one that was exported."""
        self._about = json.loads((folder / "model.json").read_text())
        self._model = inference.Model(
            folder / "model.skops",
            sha256=self._about["sha256"],
            signature=self._about["signature"],
            problem=self._about["problem"],
        )

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Give a prediction a row; with the parameter `output` set to `all` a frame of all that the model says."""
        frame = _to_frame(pd.DataFrame(model_input), self._about["signature"])
        made = self._model.predict(frame)
        if (params or {}).get("output") == "all":
            return _all(made, classes=self._model.classes)
        return made.prediction


def _to_frame(given: pd.DataFrame, signature: signatures.Signature) -> pd.DataFrame:
    """Give columns the types that the model was trained on."""
    columns: Any = signature["columns"]
    converted = {
        column["name"]: _to_series(given[column["name"]], column["type"])
        for column in columns
        if column["name"] in given.columns
    }
    return pd.DataFrame(converted, index=pd.RangeIndex(len(given)))


def _to_series(values: Any, column_type: str) -> Any:
    if column_type in ("timestamp", "date"):
        return _to_instants(pd.Series(values))
    if column_type == "string":
        texts = pd.Series(values).astype(object).reset_index(drop=True)
        return texts.where(texts.notna(), np.nan)
    return pd.to_numeric(pd.Series(values)).astype(np.float64).reset_index(drop=True)


def _to_instants(values: Any) -> Any:
    """Read texts as microseconds: pandas' usual way through nanoseconds ends at the years 1677 and 2262."""
    if values.dtype.kind in "iufM":
        return pd.to_datetime(values, utc=True).dt.as_unit("us").reset_index(drop=True)
    return pd.Series(pd.DatetimeIndex(values.astype(object), dtype="datetime64[us, UTC]"))


def _all(made: predictions.Predictions, *, classes: list[Any] | None) -> pd.DataFrame:
    """Put all that the model says into columns, named as in the datasets that Millrace makes of predictions."""
    columns: dict[str, Any] = {}
    if made.prediction.ndim == 1:
        columns["prediction"] = made.prediction
    else:
        columns |= {
            f"prediction_{label}": made.prediction[:, place]
            for place, label in enumerate(classes or range(made.prediction.shape[1]))
        }
    columns |= {"prediction_lower": made.lower, "prediction_upper": made.upper, "anomaly_score": made.decision}
    if made.probability is not None:
        for place, label in enumerate(classes or range(made.probability.shape[1])):
            columns[f"probability_{label}"] = made.probability[:, place]
    return pd.DataFrame({name: values for name, values in columns.items() if values is not None and values.ndim == 1})
