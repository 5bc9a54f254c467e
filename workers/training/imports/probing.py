"""Lets an imported model predict rows that are invented, and refuses one whose answers depend on other rows.

docs/decisions/imports.md, "An imported model is tried on invented rows".
"""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from shared import errors
from shared.ml import frames, predictions, signatures, targets
from shared.training import imports

_ROWS = 32
_SINGLE_ROWS = 12
_COLUMNS_AT_ONCE = 256
_NUMBERS = (0.0, 1.0, -1.0, 0.5, 2.0, 10.0, 100.0)
_MOST_WHOLE = 10
_TOLERANCE = 1e-4
_SUM_TOLERANCE = 1e-3
_LEAST_AGREEMENT = 0.5


def probe(model: Any, signature: signatures.Signature, *, problem: imports.Problem) -> list[str]:
    """Try a model, and list what looks wrong; BadModelError when it can't be used."""
    example = make_rows(signature, rows=0)
    alone = _predict(model, example, problem)
    if isinstance(alone, str):
        raise errors.BadModelError(f"the model can't predict a row of zeros: {alone}")
    frame = make_rows(signature, rows=_ROWS)
    together = _predict(model, frame, problem)
    warnings = []
    if isinstance(together, str):
        repeated = pd.concat([example] * 3, ignore_index=True)
        frame, together, reason = repeated, _predict(model, repeated, problem), together
        if isinstance(together, str):
            raise errors.BadModelError(
                f"the model predicts one row and not three at once ({together}); export it with a batch size that may "
                "vary, such as by dynamic_axes in PyTorch"
            )
        warnings.append(f"The model refuses some rows that were invented to try it: {reason}")
    _require_independent(model, frame, together, problem)
    classes: Any = signature["classes"]
    if problem == "classification":
        warnings += _check_classes(together, classes)
    elif not np.isfinite(together.prediction).any():
        warnings.append("No prediction of the rows that were invented to try the model is a finite number.")
    return warnings


def find_required(model: Any, signature: signatures.Signature, *, problem: imports.Problem) -> set[str]:
    """Find the columns of numbers without which a model's answer is no number, so that it knows no missing value."""
    columns: Any = signature["columns"]
    names = [column["name"] for column in columns if column["type"] in frames.NUMERIC and "whole" not in column]
    example, required = make_rows(signature, rows=0), set()
    for start in range(0, len(names), _COLUMNS_AT_ONCE):
        tried = names[start : start + _COLUMNS_AT_ONCE]
        frame = pd.concat([example] * len(tried), ignore_index=True)
        for row, name in enumerate(tried):
            frame.loc[row, name] = np.nan
        predicted = _predict(model, frame, problem)
        if isinstance(predicted, str):
            return set(names)
        numbers = predicted.prediction if problem == "regression" else predicted.probability
        if numbers is not None:
            finite = np.isfinite(numbers.reshape(len(frame), -1))
            required |= {name for name, each in zip(tried, finite, strict=True) if not each.all()}
    return required


def make_rows(signature: signatures.Signature, *, rows: int) -> pd.DataFrame:
    """Make the frame of one plain row, with zeros, and so many random ones after it, the same each time."""
    random = np.random.default_rng(0)
    columns: Any = signature["columns"]
    return pd.DataFrame({column["name"]: _make_values(column, rows, random) for column in columns})


def _make_values(column: dict[str, Any], rows: int, random: np.random.Generator) -> Any:
    if column["type"] == "string":
        known = column.get("categories") or ["a", "b", "c"]
        texts = [known[0], *(known[place] for place in random.integers(0, len(known), rows))]
        return pd.Series(texts, dtype=object)
    if column["type"] in frames.TEMPORAL:
        days = np.concatenate([[0], random.integers(0, 10_000, rows)])
        return pd.Series(np.datetime64("2000-01-01", "us") + days.astype("timedelta64[D]")).dt.tz_localize("UTC")
    least, most = column.get("whole", (0, _MOST_WHOLE))
    if column["type"] == "boolean":
        least, most = 0, 1
    if column["type"] == "number":
        numbers = np.where(random.random(rows) < 0.5, random.choice(_NUMBERS, rows), random.normal(size=rows))
    else:
        numbers = random.integers(max(least, 0), min(most, _MOST_WHOLE) + 1, rows).astype(np.float64)
    return np.concatenate([[0.0], numbers])


def _predict(model: Any, frame: pd.DataFrame, problem: imports.Problem) -> predictions.Predictions | str:
    """Predict rows; the reason when that can't be done."""
    try:
        predicted = predictions.predict(model, frame, problem=problem)
    except (ValueError, TypeError, IndexError) as error:
        return " ".join(f"{error}".split())[:500]
    values = [value for value in dataclasses.astuple(predicted) if value is not None]
    wrong = next((len(value) for value in values if len(value) != len(frame)), None)
    return predicted if wrong is None else f"of {len(frame)} rows it predicts {wrong}"


def _require_independent(
    model: Any, frame: pd.DataFrame, together: predictions.Predictions, problem: imports.Problem
) -> None:
    """Refuse a model that answers a row otherwise alone than among others, or otherwise the second time."""
    for row in range(min(len(frame), _SINGLE_ROWS)):
        alone = _predict(model, frame.iloc[[row]], problem)
        if isinstance(alone, str) or not _is_close(alone, together, row):
            raise errors.BadModelError(
                "the model answers a row otherwise alone than among others"
                + (f" ({alone})" if isinstance(alone, str) else "")
                + "; rows are predicted in batches here, so its answer must depend on the row alone"
            )


def _is_close(alone: predictions.Predictions, together: predictions.Predictions, row: int) -> bool:
    numbers = [(alone.probability, together.probability)]
    if alone.prediction.dtype.kind == "f":
        numbers.append((alone.prediction, together.prediction))
    elif alone.probability is None:
        return bool(alone.prediction[0] == together.prediction[row])
    return all(
        np.allclose(one[0], other[row], rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
        for one, other in numbers
        if one is not None and other is not None
    )


def _check_classes(predicted: predictions.Predictions, classes: list[targets.Label]) -> list[str]:
    labels = targets.to_json(predicted.prediction)
    unknown = sorted({f"{label!r}" for label in labels} - {f"{label!r}" for label in classes})
    if unknown:
        raise errors.BadModelError(
            f"the model predicts {unknown[0]}, which is none of its classes, "
            f"{', '.join(f'{each!r}' for each in classes[:10])}",
            pointer="#/params/classes",
        )
    probability = predicted.probability
    if probability is None:
        return ["The model has no probabilities, so metrics such as roc_auc can't be computed."]
    if probability.ndim != 2 or probability.shape[1] != len(classes):
        raise errors.BadModelError(
            f"the model has {probability.shape[1:]} probabilities for each row, and {len(classes)} classes",
            pointer="#/params/classes",
        )
    known = probability[np.isfinite(probability).all(axis=1)]
    in_bounds = (known >= -_TOLERANCE).all() and (known <= 1 + _TOLERANCE).all()
    if not in_bounds or not np.allclose(known.sum(axis=1), 1, atol=_SUM_TOLERANCE):
        raise errors.BadModelError(
            "the model's scores aren't probabilities: they are not from 0 to 1, or their sum isn't 1; give `scores`: "
            "`logits` if they are, or `none` to use its labels alone",
            pointer="#/params/scores",
        )
    likeliest = [classes[place] for place in probability.argmax(axis=1)]
    agreement = np.mean([one == other for one, other in zip(labels, likeliest, strict=True)])
    if agreement >= _LEAST_AGREEMENT:
        return []
    shown = f"only {agreement:.0%} of {len(labels)} rows that were invented have the likeliest class as their label"
    return [f"{shown}: are `classes` in the order of the probabilities?"]
