"""Invents rows where the trees of an imported LightGBM model decide, on which its export to ONNX is compared.

docs/decisions/imports.md, "An imported booster is compared with its export where its trees decide".
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from shared.ml import booster_text, frames, light_gbm, signatures

ROWS = 2000
_MISSING = 0.05
_ELSEWHERE = 0.2


def write(
    estimator: light_gbm.LGBMClassifier | light_gbm.LGBMRegressor, signature: signatures.Signature, path: Path
) -> None:
    """Write a table of the model's columns: thresholds and the numbers beside them, some others, and missing ones."""
    classes = getattr(estimator, "classes_", ())
    _, trees = booster_text.read(estimator.model_text_, outputs=len(classes) if len(classes) > 2 else 1)
    splits = [tree for tree in trees if tree.get("split_feature")]
    columns_of, thresholds = (_read_all(splits, name) for name in ("split_feature", "threshold"))
    random = np.random.default_rng(0)
    described: Any = signature["columns"]
    arrays = [
        _make_array(_draw(thresholds[columns_of == place], random), column["type"])
        for place, column in enumerate(described)
    ]
    parquet.write_table(pa.table(arrays, names=signatures.list_columns(signature)), path)


def _read_all(trees: list[dict[str, str]], name: str) -> npt.NDArray[np.float64]:
    return np.concatenate([np.empty(0), *(booster_text.read_numbers(tree, name) for tree in trees)])


def _draw(thresholds: npt.NDArray[np.float64], random: np.random.Generator) -> npt.NDArray[np.float64]:
    known = thresholds[np.isfinite(thresholds)]
    spread = float(np.ptp(known)) + 1.0 if len(known) else 1.0
    pool = np.concatenate([known, np.nextafter(known, np.inf), np.nextafter(known, -np.inf), [0.0]])
    drawn = random.choice(pool, ROWS)
    elsewhere = random.normal(drawn, spread)
    drawn = np.where(random.random(ROWS) < _ELSEWHERE, elsewhere, drawn)
    return np.where(random.random(ROWS) < _MISSING, np.nan, drawn)


def _make_array(values: npt.NDArray[np.float64], type_: Any) -> pa.Array:
    if type_ == "boolean":
        values = np.where(np.isnan(values), np.nan, values > 0)
    elif type_ == "integer":
        values = np.clip(np.round(values), -(2.0**52), 2.0**52)
    return pa.array(values, from_pandas=True).cast(frames.PHYSICAL_TYPES[type_])
