"""Reads an ONNX file as an estimator that ONNX Runtime answers for."""

from pathlib import Path

import numpy as np
import onnx

from shared.ml.imported.onnx_estimators import OnnxClassifier, OnnxRegressor
from workers.training.imports import onnx_checks, onnx_graph, onnx_inputs, onnx_outputs
from workers.training.imports.candidate import Candidate, Request


def read(path: Path, request: Request) -> Candidate:
    """Read a model; BadModelError for what isn't one, for what Millrace doesn't run, and for what stays unclear."""
    return read_model(onnx_checks.read(path, folder=request.folder), request)


def read_model(model: onnx.ModelProto, request: Request) -> Candidate:
    """Read a model that has been checked."""
    facts = {
        "producer": " ".join(filter(None, (model.producer_name, model.producer_version)))[:200] or None,
        "opsets": {opset.domain or "ai.onnx": opset.version for opset in model.opset_import},
        "operators": onnx_checks.count_operators(model),
    }
    inputs = onnx_inputs.read(model)
    outputs, notes = onnx_outputs.choose(
        model, problem=request.problem, classes=request.classes, names=request.outputs, scores=request.scores
    )
    columns, column_notes = onnx_inputs.assign(inputs, request.columns)
    written = onnx_graph.write(model, inputs, columns, outputs, scores=request.scores)
    taken = [column for each in inputs for column in columns[each.name]]
    graph, kinds = np.frombuffer(written.graph, dtype=np.uint8), {column.name: column.kind for column in taken}
    classes = sorted(outputs.classes) if outputs.problem == "classification" else None
    estimator = (
        OnnxRegressor(graph, kinds, written.outputs)
        if classes is None
        else OnnxClassifier(graph, kinds, written.outputs, classes)
    )
    return Candidate(
        format="onnx",
        estimator=estimator,
        columns=[column.describe() for column in taken],
        problem=outputs.problem,
        classes=classes,
        facts=facts,
        libraries=("onnxruntime",),
        notes=[*column_notes, *notes],
    )
