"""Exports a model as an ONNX file that predicts as scikit-learn does, or explains why there is none.

docs/decisions/exports.md, "ONNX is exported only with parity seen on real rows".
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from pydantic import JsonValue

from shared import errors
from shared.ml import predictions, signatures
from workers.training.exports import graph, neighbours, onnx_model, parity, skl2onnx_parts, trees
from workers.training.exports.graph import DOUBLE, FLOAT

TYPE_PAIRS = ((FLOAT, FLOAT), (DOUBLE, FLOAT), (DOUBLE, DOUBLE))
"""The element types of the numeric inputs and of the estimator, in the order in which they are tried."""
TREE_TYPE_PAIRS = TYPE_PAIRS[1:]
"""Thresholds are halfway between values, so that a value rounded to float32 may end up on the other side."""
GOOD_ENOUGH = 1e-5
"""When the greatest difference is at most this, no further types are tried."""


def write(
    pipeline: Any,
    dataset: Path,
    *,
    signature: signatures.Signature,
    problem: predictions.Problem,
    notes: dict[str, str],
    path: Path,
) -> dict[str, JsonValue]:
    """Write the file, and describe it; BadModelError when no ONNX model predicts the same as scikit-learn.

    float32 inputs are what most clients send. Where rounding the data to float32 changes predictions, and for all
    trees, the inputs are float64.
    """
    reference = parity.make_reference(pipeline, dataset, signature=signature, problem=problem)
    try:
        neighbours.require_no_ties(pipeline, reference)
    except errors.BadModelError as error:
        raise _make_refusal([error]) from error
    candidates: list[tuple[parity.Parity, onnx.ModelProto, dict[str, JsonValue]]] = []
    refusals: list[errors.BadModelError] = []
    for inputs, element_type in TREE_TYPE_PAIRS if trees.has_trees(pipeline[-1]) else TYPE_PAIRS:
        try:
            model, names = onnx_model.convert(
                pipeline, signature=signature, problem=problem, inputs=inputs, element_type=element_type, notes=notes
            )
            agreement = parity.compare(reference, _run(model, reference, names, signature=signature, inputs=inputs))
            agreement.require()
        except errors.BadModelError as error:
            refusals.append(error)
            continue
        candidates.append((agreement, model, _describe(agreement, model, signature=signature, inputs=inputs)))
        if agreement.greatest_difference <= GOOD_ENOUGH:
            break
    if not candidates:
        raise _make_refusal(refusals)
    _, model, details = min(candidates, key=lambda candidate: candidate[0].greatest_difference)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return details


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
        arrays = onnx_model.feed(reference.frame, signature=signature, inputs=inputs)
        outputs = session.run(list(names.values()), arrays)
    except Exception as error:
        # The runtime's exceptions have no common base class.
        raise errors.BadModelError(f"ONNX Runtime can't run this model: {error}") from error
    return {field: np.asarray(values) for field, values in zip(names, outputs, strict=True)}


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
        "opsets": {"ai.onnx": graph.MAIN_OPSET, "ai.onnx.ml": graph.ML_OPSET},
    }
