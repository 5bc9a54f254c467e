"""Writes a foreign ONNX model anew, as exports are: an input for each column, and outputs that are called as ours."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from shared.ml import predictions, targets
from workers.training.imports.onnx_checks import list_subgraphs
from workers.training.imports.onnx_inputs import Input, TakenColumn
from workers.training.imports.onnx_outputs import MAPPER, Outputs

TensorProto = onnx.TensorProto
_ELEMENT_TYPES = {"number": TensorProto.DOUBLE, "text": TensorProto.STRING, "instant": TensorProto.INT64}
_OPSET, _IR_VERSION = 17, 8
"""For models that use no operator of ONNX itself, and the oldest version whose constants are no inputs."""


@dataclasses.dataclass(frozen=True)
class Written:
    """A model as it is stored: its bytes, and the outputs' names by the fields of `Predictions`."""

    graph: bytes
    outputs: dict[str, str]


def write(
    model: onnx.ModelProto,
    inputs: Sequence[Input],
    columns: Mapping[str, Sequence[TakenColumn]],
    outputs: Outputs,
    *,
    scores: str,
) -> Written:
    """Write a model whose inputs take these columns, with the outputs that were chosen; the classes become sorted.

    Labels are (rows,); numbers are float64, probabilities (rows, classes).
    """
    builder = _Builder(taken=[column.name for each in inputs for column in columns[each.name]])
    _add_prefix(model.graph, builder.foreign)
    for each in inputs:
        builder.feed(each, columns[each.name])
    builder.nodes += [node for node in model.graph.node if node.op_type != MAPPER]
    if outputs.problem == "regression":
        fields = {"prediction": builder.flatten(builder.rename(outputs.prediction), to=TensorProto.DOUBLE)}
    else:
        fields = _answer_classes(builder, outputs, scores=scores)
    names = predictions.name_onnx_outputs(fields, problem=outputs.problem, taken=builder.taken)
    for field, (tensor, element_type, shape) in fields.items():
        builder.answer(tensor, names[field], element_type, shape)
    return Written(builder.finish(model), names)


def _add_prefix(graph: onnx.GraphProto, prefix: str) -> None:
    """Begin the names of all tensors and nodes with a prefix, in the graphs inside the graph as well.

    What onnx.compose does forgets the constants that inner graphs use.
    """
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = f"{prefix}{value.name}"
    for sparse in graph.sparse_initializer:
        sparse.values.name = f"{prefix}{sparse.values.name}"
    # They describe what is between, and may have the sizes of the rows with which the model was exported.
    del graph.value_info[:]
    for node in graph.node:
        node.name = f"{prefix}{node.name}" if node.name else ""
        node.input[:] = [f"{prefix}{name}" if name else "" for name in node.input]
        node.output[:] = [f"{prefix}{name}" if name else "" for name in node.output]
        for inner in list_subgraphs(node):
            _add_prefix(inner, prefix)


Answer = tuple[str, int, list[Any]]
"""A tensor, its element type, and its shape."""


def _answer_classes(builder: "_Builder", outputs: Outputs, *, scores: str) -> dict[str, Answer]:
    classes = outputs.classes
    order = sorted(range(len(classes)), key=lambda place: classes[place])
    fields: dict[str, Answer] = {}
    probability = None
    if outputs.probabilities is not None:
        numbers = builder.node("Cast", builder.rename(outputs.probabilities), to=TensorProto.DOUBLE)
        probability = builder.make_probabilities(numbers, is_single=outputs.is_single, scores=scores)
        sorted_ = builder.node("Gather", probability, builder.constant(np.array(order, np.int64)), axis=1)
        fields["probability"] = (sorted_, TensorProto.DOUBLE, [None, len(classes)])
    return {"prediction": _answer_label(builder, outputs, probability), **fields}


def _answer_label(builder: "_Builder", outputs: Outputs, probability: str | None) -> Answer:
    """Add the labels in the type of the classes: the model's own, perhaps by other names, or the likeliest."""
    element_type = _label_type(outputs.classes)
    if outputs.label is None:
        place = builder.node("ArgMax", probability or "", axis=1, keepdims=0)
    elif outputs.renamed is None:
        return builder.flatten(builder.rename(outputs.label), to=element_type, given=outputs.label.element_type)
    else:
        label, _, _ = builder.flatten(builder.rename(outputs.label), to=TensorProto.INT64)
        column = builder.node("Reshape", label, builder.constant(np.array([-1, 1], np.int64)))
        known = builder.constant(np.array([outputs.renamed], np.int64))
        is_class = builder.node("Cast", builder.node("Equal", column, known), to=TensorProto.FLOAT)
        place = builder.node("ArgMax", is_class, axis=1, keepdims=0)
    names = builder.constant(np.array(outputs.classes, dtype=object if element_type == TensorProto.STRING else None))
    return builder.node("Gather", names, place, axis=0), element_type, [None]


def _label_type(classes: Sequence[targets.Label]) -> int:
    types: dict[type, int] = {str: TensorProto.STRING, bool: TensorProto.BOOL, int: TensorProto.INT64}
    return types[type(classes[0])]


class _Builder:
    """The model under construction: names that it makes begin with a prefix that no column's name has."""

    def __init__(self, *, taken: Sequence[str]) -> None:
        self.taken = taken
        self.nodes: list[onnx.NodeProto] = []
        self._prefix = "millrace_"
        while any(name.startswith(self._prefix) for name in taken):
            self._prefix += "_"
        self.foreign = f"{self._prefix}model/"
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def rename(self, tensor: Any) -> str:
        """Return the name that a tensor of the foreign model has here."""
        return f"{self.foreign}{tensor.tensor}"

    def constant(self, value: Any) -> str:
        """Add a constant, and return its name."""
        name = self._new_name()
        if value.dtype == object:
            texts: Any = [str(text).encode() for text in value]
            self._constants.append(helper.make_tensor(name, TensorProto.STRING, value.shape, texts))
        else:
            self._constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        name = self._new_name()
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def feed(self, given: Input, columns: Sequence[TakenColumn]) -> None:
        """Add an input for each column, and make the foreign model's input of them."""
        parts = []
        kinds = {column.kind for column in columns}
        for column in columns:
            element_type = _ELEMENT_TYPES[column.kind]
            self._inputs.append(helper.make_tensor_value_info(column.name, element_type, [None, 1]))
            parts.append(self._cast(column.name, element_type, given) if len(kinds) > 1 else column.name)
        joined = self.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        if len(kinds) == 1:
            joined = self._cast(joined, _ELEMENT_TYPES[columns[0].kind], given)
        if given.is_flat:
            joined = self.node("Reshape", joined, self.constant(np.array([-1], np.int64)))
        self.nodes.append(helper.make_node("Identity", [joined], [f"{self.foreign}{given.name}"]))

    def _cast(self, tensor: str, element_type: int, given: Input) -> str:
        is_same = element_type == given.element_type
        return tensor if is_same else self.node("Cast", tensor, to=given.element_type)

    def flatten(self, tensor: str, *, to: int, given: int | None = None) -> Answer:
        """Add a tensor's values as (rows,), in an element type, if that isn't the given one."""
        cast = tensor if to == given else self.node("Cast", tensor, to=to)
        return self.node("Reshape", cast, self.constant(np.array([-1], np.int64))), to, [None]

    def make_probabilities(self, numbers: str, *, is_single: bool, scores: str) -> str:
        """Make (rows, classes) of float64 probabilities or logits."""
        if not is_single:
            return self.node("Softmax", numbers, axis=1) if scores == "logits" else numbers
        column = self.node("Reshape", numbers, self.constant(np.array([-1, 1], np.int64)))
        second = self.node("Sigmoid", column) if scores == "logits" else column
        first = self.node("Sub", self.constant(np.array([1.0])), second)
        return self.node("Concat", first, second, axis=1)

    def answer(self, tensor: str, name: str, element_type: int, shape: list[Any]) -> None:
        """Add an output."""
        self.nodes.append(helper.make_node("Identity", [tensor], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, element_type, shape))

    def finish(self, foreign: onnx.ModelProto) -> bytes:
        """Write the model."""
        constants = [*foreign.graph.initializer, *self._constants]
        graph = helper.make_graph(
            self.nodes,
            "imported",
            self._inputs,
            self._outputs,
            constants,
            sparse_initializer=list(foreign.graph.sparse_initializer),
        )
        opsets = {opset.domain: opset.version for opset in foreign.opset_import}
        versions = {"": _OPSET, **opsets}
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in versions.items()],
            ir_version=max(foreign.ir_version, _IR_VERSION),
            producer_name="millrace",
        )
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))

    def _new_name(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"
