"""Reads XGBoost's JSON or UBJSON as an ONNX model, so that neither reading nor predicting needs XGBoost.

docs/decisions/imports.md, "XGBoost's JSON is read here and written as ONNX"
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared import errors
from shared.ml import predictions, targets
from shared.ml.imported.onnx_estimators import Kind, OnnxClassifier, OnnxRegressor
from shared.training import imports
from workers.training.exports import boosters
from workers.training.exports.graph import BOOL, DOUBLE, FLOAT, INT64, STRING, Graph
from workers.training.imports import formats, ubjson, xgboost_trees
from workers.training.imports.candidate import Candidate, Request

MAX_BYTES = 1 << 29
BINARY, MANY = "binary:logistic", ("multi:softprob", "multi:softmax")
IDENTITIES = frozenset(
    {
        "reg:absoluteerror",
        "reg:linear",
        "reg:pseudohubererror",
        "reg:quantileerror",
        "reg:squarederror",
        "reg:squaredlogerror",
    }
)
EXPONENTIALS = frozenset({"count:poisson", "reg:gamma", "reg:tweedie"})
SHARES = "reg:logistic"
_KNOWN = sorted({BINARY, *MANY, *IDENTITIES, *EXPONENTIALS, SHARES})


def read(path: Path, request: Request) -> Candidate:
    """Read a model; BadModelError for what isn't one, and for what isn't imported."""
    if path.stat().st_size > MAX_BYTES:
        raise errors.BadModelError(f"the model has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are imported")
    data = path.read_bytes()
    try:
        document = ubjson.loads(data) if data.startswith(formats.UBJSON) else json.loads(data)
    except (ValueError, RecursionError) as error:
        raise errors.BadModelError(
            f"this is neither JSON nor UBJSON, which XGBoost writes by save_model: {f'{error}'[:200]}"
        ) from error
    return convert(xgboost_trees.read(document), request)


def convert(booster: xgboost_trees.Booster, request: Request) -> Candidate:
    """Write a booster as ONNX; BadModelError when the request doesn't fit it."""
    problem = _tell_problem(booster.objective, request.problem)
    names = _name_columns(booster, request)
    classes: list[targets.Label] | None = None
    notes: list[str] = []
    if problem == "classification":
        classes, notes = _name_classes(max(booster.outputs, 2), request)
    if booster.stopped_after is not None:
        notes.append(
            f"Training stopped early after round {booster.stopped_after}; all trees of the file are used, as by "
            "Booster.predict."
        )
    graph = Graph(names)
    columns = [graph.add_input(name, kind="number", number_type=DOUBLE) for name in names]
    # XGBoost compares float32.
    rounded = graph.node("Cast", graph.concatenate(columns).tensor, to=FLOAT)
    sums = _add_sums(graph, booster, graph.node("Cast", rounded, to=DOUBLE))
    if classes is None:
        outputs = _answer_number(graph, booster, sums, names)
    else:
        outputs = _answer_classes(graph, booster, sums, names, classes)
    model = np.frombuffer(graph.finish(notes={}).SerializeToString(deterministic=True), dtype=np.uint8)
    kinds: dict[str, Kind] = dict.fromkeys(names, "number")
    types = {column.name: column.type for column in request.columns or []}
    return Candidate(
        format="xgboost",
        estimator=(
            OnnxRegressor(model, kinds, outputs)
            if classes is None
            else OnnxClassifier(model, kinds, outputs, sorted(classes))
        ),
        columns=[{"name": name, "type": types.get(name) or "number", "nullable": True} for name in names],
        problem=problem,
        classes=None if classes is None else sorted(classes),
        facts={"producer": f"XGBoost, objective {booster.objective}", "trees": len(booster.trees)},
        libraries=("onnxruntime",),
        notes=notes,
    )


def _tell_problem(objective: str, asked: imports.Problem | None) -> imports.Problem:
    if objective not in _KNOWN:
        raise errors.BadModelError(
            f"the model's objective is {objective[:50]!r}; those that are imported are {', '.join(_KNOWN)}"
        )
    found: imports.Problem = "classification" if objective in (BINARY, *MANY) else "regression"
    if asked is not None and asked != found:
        raise errors.BadModelError(
            f"the model's objective, {objective}, is one of {found}, not of {asked}", pointer="#/params/problem"
        )
    return found


def _name_columns(booster: xgboost_trees.Booster, request: Request) -> list[str]:
    given = None if request.columns is None else [column.name for column in request.columns]
    names = given or booster.names or [f"f{place}" for place in range(booster.features)]
    if len(names) != booster.features or not 1 <= len(names) <= imports.MAX_COLUMNS or len(set(names)) < len(names):
        raise errors.BadModelError(
            f"the model takes {booster.features:,} columns, and {len(names):,} are named", pointer="#/params/columns"
        )
    for column in request.columns or []:
        if column.type in ("string", "timestamp", "date"):
            raise errors.BadModelError(
                f"the column {column.name!r} can't be of type {column.type}: XGBoost's trees compare numbers",
                pointer="#/params/columns",
            )
    return names


def _name_classes(count: int, request: Request) -> tuple[list[targets.Label], list[str]]:
    if request.classes is None:
        return [*range(count)], [
            f"XGBoost names no classes; they are numbered 0 to {count - 1}. Give `classes` to name them."
        ]
    if len(request.classes) != count:
        raise errors.BadModelError(
            f"the model has {count} classes, and {len(request.classes)} are given", pointer="#/params/classes"
        )
    return request.classes, []


def _add_sums(graph: Graph, booster: xgboost_trees.Booster, features: str) -> str:
    """Add each output's sum over its trees and what it starts from, (rows, outputs)."""
    trees, outputs = booster.trees, booster.tree_outputs
    sums = boosters.add_trees(graph, trees, features, outputs=booster.outputs, tree_outputs=outputs)
    return graph.node("Add", sums, graph.floats([[_to_margin(score, booster) for score in booster.base_scores]]))


def _to_margin(score: float, booster: xgboost_trees.Booster) -> float:
    """Convert a base score to what the trees' sum starts from, as XGBoost's ProbToMargin does."""
    if booster.objective in (BINARY, SHARES):
        if not 0 < score < 1:
            raise errors.BadModelError(f"the model's base_score is {score:g}, which is no probability")
        return float(np.log(score / (1 - score)))
    if booster.objective in EXPONENTIALS:
        if score <= 0:
            raise errors.BadModelError(f"the model's base_score is {score:g}, which has no logarithm")
        return float(np.log(score))
    return score


def _answer_number(graph: Graph, booster: xgboost_trees.Booster, sums: str, names: Sequence[str]) -> dict[str, str]:
    flat = graph.node("Reshape", sums, graph.constant([-1], np.int64))
    if booster.objective in EXPONENTIALS:
        flat = graph.node("Exp", flat)
    elif booster.objective == SHARES:
        flat = graph.node("Sigmoid", flat)
    outputs = predictions.name_onnx_outputs(["prediction"], problem="regression", taken=names)
    graph.add_output(flat, outputs["prediction"], element_type=DOUBLE, width=None)
    return outputs


def _answer_classes(
    graph: Graph, booster: xgboost_trees.Booster, sums: str, names: Sequence[str], classes: list[targets.Label]
) -> dict[str, str]:
    if booster.objective == BINARY:
        second = graph.node("Sigmoid", sums)
        probabilities = graph.node("Concat", graph.node("Sub", graph.floats(1.0), second), second, axis=1)
    else:
        probabilities = graph.node("Softmax", sums, axis=1)
    order = sorted(range(len(classes)), key=lambda place: classes[place])
    sorted_ = graph.node("Gather", probabilities, graph.constant(order, np.int64), axis=1)
    labels = sorted(classes)
    element_type = {str: STRING, bool: BOOL, int: INT64}[type(labels[0])]
    known = graph.constant(labels, object if element_type == STRING else None)
    label = graph.node("Gather", known, graph.node("ArgMax", sorted_, axis=1, keepdims=0))
    outputs = predictions.name_onnx_outputs(["prediction", "probability"], problem="classification", taken=names)
    graph.add_output(label, outputs["prediction"], element_type=element_type, width=None)
    graph.add_output(sorted_, outputs["probability"], element_type=DOUBLE, width=len(classes))
    return outputs
