"""Exports a model as an ONNX file that answers as scikit-learn does, or says why there is none."""

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

TRIALS = ((FLOAT, FLOAT), (DOUBLE, FLOAT), (DOUBLE, DOUBLE))
"""The types of the numeric inputs and of the estimator, in the order in which they are tried."""
OF_TREES = TRIALS[1:]
"""Thresholds lie midway between values, so a value that float32 rounds may fall on their other side."""
GOOD_ENOUGH = 1e-5
"""With a smaller difference no further types are tried."""


def write(
    pipeline: Any,
    dataset: Path,
    *,
    signature: signatures.Signature,
    problem: predictions.Problem,
    notes: dict[str, str],
    path: Path,
) -> dict[str, JsonValue]:
    """Write the file, and describe it; BadModelError when nothing that can be written answers alike.

    float32 inputs are what most clients send. Where rounding the data to them changes answers, and for all trees, the
    inputs are float64.
    """
    reference = parity.make_reference(pipeline, dataset, signature=signature, problem=problem)
    try:
        neighbours.require_no_ties(pipeline, reference)
    except errors.BadModelError as fault:
        raise _refusal([fault]) from fault
    found: list[tuple[parity.Parity, onnx.ModelProto, dict[str, JsonValue]]] = []
    faults: list[errors.BadModelError] = []
    for inputs, element in OF_TREES if trees.any_in(pipeline[-1]) else TRIALS:
        try:
            model, names = onnx_model.convert(
                pipeline, signature=signature, problem=problem, inputs=inputs, element=element, notes=notes
            )
            agreement = parity.compare(reference, _answers(model, reference, names, signature=signature, inputs=inputs))
            agreement.require()
        except errors.BadModelError as fault:
            faults.append(fault)
            continue
        found.append((agreement, model, _describe(agreement, model, signature=signature, inputs=inputs)))
        if agreement.greatest_difference <= GOOD_ENOUGH:
            break
    if not found:
        raise _refusal(faults)
    _, model, details = min(found, key=lambda one: one[0].greatest_difference)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return details


def _refusal(faults: list[errors.BadModelError]) -> errors.BadModelError:
    """Say why there is no ONNX, trial by trial where the reasons differ, and what there is instead."""
    reasons = "; ".join(dict.fromkeys(fault.message for fault in faults))
    return errors.BadModelError(f"no ONNX answers as this version does: {reasons}. Export it as skops or mlflow.")


def _answers(
    model: onnx.ModelProto,
    reference: parity.Reference,
    names: dict[str, str],
    *,
    signature: signatures.Signature,
    inputs: int,
) -> dict[str, npt.NDArray[Any]]:
    try:
        session = skl2onnx_parts.load(model)
        fed = onnx_model.feed(reference.frame, signature=signature, inputs=inputs)
        given = session.run(list(names.values()), fed)
    except Exception as fault:
        # The runtime's exceptions have no common class of their own.
        raise errors.BadModelError(f"ONNX Runtime can't run this model: {fault}") from fault
    return {field: np.asarray(values) for field, values in zip(names, given, strict=True)}


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
