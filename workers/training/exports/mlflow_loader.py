"""What MLflow calls to load an exported model; copied into the exported folder with the code that it imports."""

import datetime
import json
import pathlib
import re
from typing import Any

import numpy as np
import pandas as pd

from shared import errors
from shared.ml import inference, integers, predictions, signatures, targets

OUTPUTS = ("prediction", "all")
"""What the parameter `output` may be."""
_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?", flags=re.ASCII)
_TIMES = (datetime.date, np.datetime64)
"""The classes of times; a datetime and a pandas Timestamp are dates too."""


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
        """Predict each row; with the parameter `output` set to `all`, return a frame of all that the model predicts.

        BadDataError when a column is missing or holds what Millrace would not take for it. See
        docs/decisions/exports.md, "The MLflow loader is as strict as Millrace".
        """
        output = _read_output(params or {})
        frame = _to_frame(pd.DataFrame(model_input), self._metadata["signature"])
        predicted = self._model.predict(frame)
        return predicted.prediction if output == "prediction" else _to_columns(predicted, self._model)


def _read_output(params: dict[str, Any]) -> str:
    """Read the only parameter; PermanentError for others, and for an output that there is none of."""
    unknown = sorted(f"{name!r}" for name in params if name != "output")
    if unknown:
        raise errors.PermanentError(f"there is no parameter {', '.join(unknown)}; there is only 'output'")
    output = params.get("output", OUTPUTS[0])
    if output not in OUTPUTS:
        raise errors.PermanentError(f"the parameter 'output' is {output!r}; it must be one of {', '.join(OUTPUTS)}")
    return str(output)


def _to_frame(frame: pd.DataFrame, signature: signatures.Signature) -> pd.DataFrame:
    """Convert columns to the dtypes that the model was trained on, as far as they hold values of these types."""
    columns: Any = signature["columns"]
    present = [column for column in columns if column["name"] in frame.columns]
    for column in present:
        if list(frame.columns).count(column["name"]) > 1:
            raise errors.BadDataError(f"column {column['name']!r} is there more than once")
    converted = {column["name"]: _to_series(frame[column["name"]], column) for column in present}
    return pd.DataFrame(converted, index=pd.RangeIndex(len(frame)))


def _to_series(values: Any, column: dict[str, Any]) -> Any:
    values = pd.Series(values).reset_index(drop=True)
    if isinstance(values.dtype, pd.CategoricalDtype | pd.StringDtype):
        values = values.astype(object)
    if column["type"] in ("timestamp", "date"):
        return _to_instants(values, column)
    if column["type"] == "string":
        texts = values.astype(object)
        _refuse(texts[texts.notna() & ~texts.map(lambda value: isinstance(value, str))], column, "write it as text")
        return texts.where(texts.notna(), np.nan)
    if values.dtype == object:
        texts = values[values.notna()]
        _refuse(texts[texts.map(lambda value: isinstance(value, _TIMES))], column, "write it as a number")
        return values.where(values.notna(), np.nan)
    if values.dtype.kind not in "buif":
        _refuse(values.dropna(), column, "write it as a number")
    if column["type"] == "integer" and values.dtype.kind in "iu":
        return integers.from_objects(values.to_numpy(dtype=object, na_value=np.nan), index=values.index)
    numbers = values.astype(np.float64)
    _refuse(numbers[np.isinf(numbers)], column, "every value must be finite or missing")
    return numbers


def _to_instants(values: Any, column: dict[str, Any]) -> Any:
    """Read times, and texts that are times, as microseconds; a number would be of a unit that nobody has named.

    Pandas' nanoseconds only reach from the year 1677 to 2262.
    """
    if values.dtype.kind == "M":
        return pd.to_datetime(values, utc=True).dt.as_unit("us")
    objects = values.astype(object).where(values.notna(), None)
    is_time = objects.map(lambda value: value is None or isinstance(value, _TIMES) or _is_iso(value))
    remedy = "write it as in ISO 8601, such as '2026-01-31T12:00:00Z'"
    _refuse(objects[~is_time.astype(bool)], column, remedy)
    try:
        return pd.Series(pd.DatetimeIndex(objects, dtype="datetime64[us, UTC]"))
    except ValueError as error:
        raise errors.BadDataError(f"column {column['name']!r} holds a time that there is none of: {error}") from error


def _is_iso(value: Any) -> bool:
    return isinstance(value, str) and _ISO_8601.fullmatch(value) is not None


def _refuse(offending: Any, column: dict[str, Any], remedy: str) -> None:
    """Refuse values that are not of the type that the column had in training."""
    if len(offending):
        value = offending.iloc[0]
        raise errors.BadDataError(
            f"column {column['name']!r} was of type {column['type']} in training, but holds {_shorten(value)} here, "
            f"which is of the type {type(value).__name__}; {remedy}"
        )


def _shorten(value: Any) -> str:
    text = f"{value!r}" if isinstance(value, str) else f"{value}"
    return text if len(text) <= 100 else f"{text[:100]}…"


def _to_columns(predicted: predictions.Predictions, model: inference.Model) -> pd.DataFrame:
    """Put all that the model predicts into columns, named as in the datasets that Millrace makes of predictions."""
    names = [targets.format_label(label) for label in model.classes or []]
    columns: dict[str, Any] = {}
    if predicted.prediction.ndim == 1:
        columns["prediction"] = predicted.prediction
    else:
        columns |= _split(predicted.prediction, "prediction", names)
    columns |= {
        "prediction_lower": predicted.lower,
        "prediction_upper": predicted.upper,
        "anomaly_score": predicted.decision if model.problem == "anomaly" else None,
    }
    columns |= _split(predicted.probability, "probability", names)
    columns |= _split(predicted.quantiles, "quantile", [f"{level:g}" for level in model.levels])
    return pd.DataFrame({name: values for name, values in columns.items() if values is not None})


def _split(table: Any, prefix: str, names: list[str]) -> dict[str, Any]:
    """Split a table into named columns, which are numbered where they have no names."""
    if table is None:
        return {}
    return {f"{prefix}_{name}": table[:, index] for index, name in enumerate(names or range(table.shape[1]))}
