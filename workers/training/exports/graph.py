"""Builds an ONNX graph; tensors of (rows, columns) are referred to by their names."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

from shared import errors

Kind = Literal["number", "text", "instant"]
MAIN_OPSET, ML_OPSET = 21, 3
RUNTIME_DOMAIN = "com.microsoft"
"""The domain of the operators that every ONNX Runtime has beside the standard ones."""
TREES_ML_OPSET = 5
"""The version of `ai.onnx.ml` that adds up trees in float64, and no longer knows the older operators of trees."""
IR_VERSION = 10
"""The version that `MAIN_OPSET` needs; a newer one would exclude older runtimes without need."""
FLOAT, DOUBLE = int(onnx.TensorProto.FLOAT), int(onnx.TensorProto.DOUBLE)
INT64, BOOL, STRING = int(onnx.TensorProto.INT64), int(onnx.TensorProto.BOOL), int(onnx.TensorProto.STRING)
TYPES = {"text": STRING, "instant": INT64}
MISSING_INSTANT = np.iinfo(np.int64).min
"""The number for a missing date among microseconds since 1970; numpy's NaT is the same number."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Columns of one tensor: float64 numbers, texts, or int64 microseconds since 1970."""

    names: tuple[str, ...]
    tensor: str
    kind: Kind


class Graph:
    """A graph under construction; the names that it makes begin with a prefix that no input has."""

    def __init__(self, inputs: Sequence[str]) -> None:
        """Start a graph whose inputs will have these names."""
        self._prefix = "millrace_"
        while any(name.startswith(self._prefix) for name in inputs):
            self._prefix += "_"
        self._count = 0
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def new_name(self) -> str:
        """Make a name that is not used yet."""
        self._count += 1
        return f"{self._prefix}{self._count}"

    def add_input(self, name: str, *, kind: Kind, number_type: int) -> Block:
        """Add an input of one column; `number_type` is the element type of numbers."""
        element_type = TYPES.get(kind, number_type)
        self._inputs.append(helper.make_tensor_value_info(name, element_type, [None, 1]))
        tensor = name if kind != "number" or element_type == DOUBLE else self.node("Cast", name, to=DOUBLE)
        return Block((name,), tensor, kind)

    def add_output(self, tensor: str, name: str, *, element_type: int, width: int | None) -> None:
        """Add an output: (rows,) where `width` is None, else (rows, width)."""
        shape = [None] if width is None else [None, width]
        self._nodes.append(helper.make_node("Identity", [tensor], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, element_type, shape))

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Add a constant, and return its name."""
        name = self.new_name()
        array = np.asarray(value, dtype=dtype)
        if array.dtype == object:
            texts: Any = [str(text).encode() for text in array.ravel()]
            self._constants.append(helper.make_tensor(name, STRING, array.shape, texts))
        else:
            self._constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return the output's name; an attribute that is an array becomes a tensor."""
        return self.nodes(operator, *inputs, domain=domain, outputs=1, **attributes)[0]

    def nodes(self, operator: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """Add a node with several outputs, and return their names."""
        names = [self.new_name() for _ in range(outputs)]
        tensors = {
            key: numpy_helper.from_array(value, key) if isinstance(value, np.ndarray) else value
            for key, value in attributes.items()
        }
        self._nodes.append(helper.make_node(operator, list(inputs), names, name=names[0], domain=domain, **tensors))
        return names

    def floats(self, value: Any) -> str:
        """Add a float64 constant, and return its name."""
        return self.constant(value, np.float64)

    def pick(self, block: Block, names: Sequence[str]) -> Block:
        """Select some of a block's columns."""
        if tuple(names) == block.names:
            return block
        indices = self.constant([block.names.index(name) for name in names], np.int64)
        return Block(tuple(names), self.node("Gather", block.tensor, indices, axis=1), block.kind)

    def select(self, blocks: Iterable[Block], names: Sequence[str]) -> list[Block]:
        """Select columns by name, in order; adjacent columns of one kind become one block."""
        block_of = {name: block for block in blocks for name in block.names}
        picked: list[Block] = []
        run: list[str] = []
        for index, name in enumerate(names):
            run.append(name)
            next_block = block_of[names[index + 1]] if index + 1 < len(names) else None
            if next_block is not block_of[name]:
                picked.append(self.pick(block_of[name], run))
                run = []
        return self._merge_neighbours(picked)

    def _merge_neighbours(self, blocks: list[Block]) -> list[Block]:
        groups: list[list[Block]] = []
        for block in blocks:
            if groups and groups[-1][0].kind == block.kind:
                groups[-1].append(block)
            else:
                groups.append([block])
        return [self.concatenate(group) for group in groups]

    def concatenate(self, blocks: Sequence[Block]) -> Block:
        """Concatenate blocks of one kind to one block."""
        if len(blocks) == 1:
            return blocks[0]
        names = tuple(name for block in blocks for name in block.names)
        return Block(names, self.node("Concat", *(block.tensor for block in blocks), axis=1), blocks[0].kind)

    def inline(self, model: onnx.ModelProto, tensor: str) -> list[str]:
        """Add all nodes of a model with one input to this graph, and return its outputs' names here."""
        inlined = compose.add_prefix(model, prefix=f"{self.new_name()}_").graph
        self._nodes.append(helper.make_node("Identity", [tensor], [inlined.input[0].name]))
        self._nodes.extend(inlined.node)
        self._constants.extend(inlined.initializer)
        return [output.name for output in inlined.output]

    def _choose_ml_opset(self) -> int:
        operators = {node.op_type for node in self._nodes}
        if "TreeEnsemble" not in operators:
            return ML_OPSET
        if operators & {"TreeEnsembleClassifier", "TreeEnsembleRegressor"}:
            raise errors.BadModelError(
                "LightGBM beside other trees in one model can't be exported to ONNX: no version of ONNX has both the "
                "operator for float64 trees and the older ones"
            )
        return TREES_ML_OPSET

    def finish(self, *, notes: dict[str, str]) -> onnx.ModelProto:
        """Make the model and validate it with ONNX's checker; BadModelError when it is not valid."""
        graph = helper.make_graph(self._nodes, "millrace", self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid("", MAIN_OPSET), helper.make_opsetid("ai.onnx.ml", self._choose_ml_opset())]
        if any(node.domain == RUNTIME_DOMAIN for node in self._nodes):
            opsets.append(helper.make_opsetid(RUNTIME_DOMAIN, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="millrace")
        helper.set_model_props(model, notes)
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            raise errors.BadModelError(f"the ONNX graph is not valid: {error}") from error
        return model
