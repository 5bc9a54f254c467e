"""Exports a model as an ONNX file that predicts as scikit-learn does, or explains why there is none.

docs/decisions/exports.md, "ONNX is exported only with parity seen on real rows".
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
from pydantic import JsonValue

from shared import errors
from shared.ml import kept_rows, predictions, signatures
from shared.training import exports
from workers.training.exports import neighbours, onnx_model, parity, skl2onnx_parts, trees
from workers.training.exports.graph import DOUBLE, FLOAT

TYPE_PAIRS = ((FLOAT, FLOAT), (DOUBLE, FLOAT), (DOUBLE, DOUBLE))
"""The element types of the numeric inputs and of the estimator, in the order in which they are tried."""
TREE_TYPE_PAIRS = TYPE_PAIRS[1:]
"""Thresholds are halfway between values, so that a value rounded to float32 may end up on the other side."""
MAX_CHARACTERS = 4_000_000
"""Rows are compared in parts of at most this many characters, counted by each part's longest text."""


def write(
    pipeline: Any,
    dataset: Path,
    *,
    signature: signatures.Signature,
    problem: predictions.Problem,
    notes: dict[str, str],
    path: Path,
    choice: kept_rows.Choice = parity.EVERY_ROW,
) -> dict[str, JsonValue]:
    """Write the file, and describe it; BadModelError when no ONNX model predicts the same as scikit-learn.

    `choice` says which rows of the dataset the model has learned from.

    float32 inputs are what most clients send. Where rounding the data to float32 changes predictions, and for all
    trees, the inputs are float64.
    """
    reference = parity.make_reference(pipeline, dataset, signature=signature, problem=problem, choice=choice)
    try:
        neighbours.require_no_ties(pipeline, reference)
    except errors.BadModelError as error:
        raise _make_refusal([error]) from error
    candidates: list[tuple[parity.Parity, onnx.ModelProto, dict[str, JsonValue]]] = []
    refusals: list[errors.BadModelError] = []
    for inputs, element_type, offset in _list_ways(pipeline[-1], reference, problem=problem):
        try:
            model, names = onnx_model.convert(
                pipeline,
                signature=signature,
                problem=problem,
                inputs=inputs,
                element_type=element_type,
                notes=notes,
                offset=offset,
            )
            agreement = parity.compare(reference, _run(model, reference, names, signature=signature, inputs=inputs))
            agreement.require()
        except errors.BadModelError as error:
            refusals.append(error)
            continue
        candidates.append((agreement, model, _describe(agreement, model, signature=signature, inputs=inputs)))
        if agreement.greatest_difference <= exports.MAX_SERVING_DIFFERENCE:
            # It serves in the model's place, so that other types of numbers have nothing to gain.
            break
    if not candidates:
        raise _make_refusal(refusals)
    _, model, details = min(candidates, key=lambda candidate: candidate[0].greatest_difference)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return details


def describe_own(path: Path, *, signature: signatures.Signature) -> dict[str, JsonValue]:
    """Describe the file of a model that came as ONNX: it differs in nothing from what answers here."""
    return _describe(parity.Parity(0, 0, 0.0), onnx.load(path), signature=signature, inputs=DOUBLE)


def _list_ways(
    estimator: Any, reference: parity.Reference, *, problem: predictions.Problem
) -> list[tuple[int, int, float]]:
    """List the types of inputs and estimator to try, each with an offset: for regressors last where numbers lie."""
    pairs = TREE_TYPE_PAIRS if trees.has_trees(estimator) else TYPE_PAIRS
    ways = [(inputs, element_type, 0.0) for inputs, element_type in pairs]
    if problem in ("regression", "quantile"):
        ways.append((DOUBLE, FLOAT, float(np.median(reference.expected.prediction[: reference.training_rows]))))
    return ways


def _make_refusal(refusals: list[errors.BadModelError]) -> errors.BadModelError:
    """Explain why there is no ONNX model, with each different reason, and what to export instead."""
    reasons = "; ".join(dict.fromkeys(refusal.message for refusal in refusals))
    return errors.BadModelError(f"no ONNX model predicts as this version: {reasons}. Export it as skops or mlflow.")


def _run(
    model: onnx.ModelProto,
    reference: parity.Reference,
    names: dict[str, str],
    *,
    signature: signatures.Signature,
    inputs: int,
) -> dict[str, npt.NDArray[Any]]:
    try:
        session = skl2onnx_parts.load(model)
        parts = [
            session.run(list(names.values()), onnx_model.feed(frame, signature=signature, inputs=inputs))
            for frame in _cut(reference.frame)
        ]
    except Exception as error:
        # The runtime's exceptions have no common base class.
        raise errors.BadModelError(f"ONNX Runtime can't run this model: {error}") from error
    columns = zip(*parts, strict=True)
    return {field: np.concatenate(values) for field, values in zip(names, columns, strict=True)}


def _cut(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cut rows so that all characters of a part, each of which may be a text of its own in the runtime, are few."""
    texts = [frame[name] for name in frame if frame[name].dtype == object and frame[name].notna().any()]
    lengths = [int(column.str.len().max()) for column in texts]
    rows = max(1, MAX_CHARACTERS // max([1, *lengths]))
    for start in range(0, len(frame), rows):
        yield frame.iloc[start : start + rows]


def _describe(
    agreement: parity.Parity, model: onnx.ModelProto, *, signature: signatures.Signature, inputs: int
) -> dict[str, JsonValue]:
    outputs: list[JsonValue] = [
        {
            "name": output.name,
            "datatype": onnx.TensorProto.DataType.Name(output.type.tensor_type.elem_type).lower(),
            "shape": ", ".join(["rows", *(str(size.dim_value) for size in output.type.tensor_type.shape.dim[1:])]),
        }
        for output in model.graph.output
    ]
    return {
        "parity": {
            "rows": agreement.rows,
            "label_mismatches": agreement.label_mismatches,
            "greatest_difference": agreement.greatest_difference,
        },
        "inputs": onnx_model.describe_inputs(signature, inputs=inputs),
        "outputs": outputs,
        "opsets": {opset.domain or "ai.onnx": opset.version for opset in model.opset_import},
    }
