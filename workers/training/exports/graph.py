"""Builds an ONNX graph column by column: a name stands for a tensor of (rows, columns) until the graph is done."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

from shared import errors

Kind = Literal["number", "text", "instant"]
MAIN_OPSET, ML_OPSET = 21, 3
IR_VERSION = 10
"""What `MAIN_OPSET` needs; a newer one would shut out older runtimes for nothing."""
FLOAT, DOUBLE = int(onnx.TensorProto.FLOAT), int(onnx.TensorProto.DOUBLE)
INT64, BOOL, STRING = int(onnx.TensorProto.INT64), int(onnx.TensorProto.BOOL), int(onnx.TensorProto.STRING)
TYPES = {"text": STRING, "instant": INT64}
MISSING_INSTANT = np.iinfo(np.int64).min
"""What stands for a missing date among microseconds since 1970; numpy's NaT is the same number."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Columns that lie side by side in one tensor: float64 numbers, texts, or int64 microseconds since 1970."""

    names: tuple[str, ...]
    tensor: str
    kind: Kind


class Graph:
    """A graph in the making; its own names begin with a prefix that no input has."""

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
        """Give a name that nothing has."""
        self._count += 1
        return f"{self._prefix}{self._count}"

    def take(self, name: str, *, kind: Kind, number_type: int) -> Block:
        """Add an input of one column."""
        given = TYPES.get(kind, number_type)
        self._inputs.append(helper.make_tensor_value_info(name, given, [None, 1]))
        tensor = name if kind != "number" or given == DOUBLE else self.node("Cast", name, to=DOUBLE)
        return Block((name,), tensor, kind)

    def give(self, tensor: str, name: str, *, element: int, width: int | None) -> None:
        """Add an output: (rows,) where `width` is None, else (rows, width)."""
        shape = [None] if width is None else [None, width]
        self._nodes.append(helper.make_node("Identity", [tensor], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, element, shape))

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Add a constant."""
        name = self.new_name()
        array = np.asarray(value, dtype=dtype)
        if array.dtype == object:
            texts: Any = [str(text).encode() for text in array.ravel()]
            self._constants.append(helper.make_tensor(name, STRING, array.shape, texts))
        else:
            self._constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output, and give its name."""
        name = self.new_name()
        self._nodes.append(helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def floats(self, value: Any) -> str:
        """Add a constant of float64."""
        return self.constant(value, np.float64)

    def pick(self, block: Block, names: Sequence[str]) -> Block:
        """Take some of a block's columns."""
        if tuple(names) == block.names:
            return block
        places = self.constant([block.names.index(name) for name in names], np.int64)
        return Block(tuple(names), self.node("Gather", block.tensor, places, axis=1), block.kind)

    def select(self, blocks: Iterable[Block], names: Sequence[str]) -> list[Block]:
        """Take columns by name, in order; neighbours of one kind become one block."""
        home = {name: block for block in blocks for name in block.names}
        picked: list[Block] = []
        run: list[str] = []
        for place, name in enumerate(names):
            run.append(name)
            after = home[names[place + 1]] if place + 1 < len(names) else None
            if after is not home[name]:
                picked.append(self.pick(home[name], run))
                run = []
        return self._joined(picked)

    def _joined(self, blocks: list[Block]) -> list[Block]:
        joined: list[list[Block]] = []
        for block in blocks:
            if joined and joined[-1][0].kind == block.kind:
                joined[-1].append(block)
            else:
                joined.append([block])
        return [self.side_by_side(group) for group in joined]

    def side_by_side(self, blocks: Sequence[Block]) -> Block:
        """Put blocks of one kind into one."""
        if len(blocks) == 1:
            return blocks[0]
        names = tuple(name for block in blocks for name in block.names)
        return Block(names, self.node("Concat", *(block.tensor for block in blocks), axis=1), blocks[0].kind)

    def inline(self, model: onnx.ModelProto, tensor: str) -> list[str]:
        """Put a whole model with one input into this graph, and give the names of its outputs here."""
        own = compose.add_prefix(model, prefix=f"{self.new_name()}_").graph
        self._nodes.append(helper.make_node("Identity", [tensor], [own.input[0].name]))
        self._nodes.extend(own.node)
        self._constants.extend(own.initializer)
        return [output.name for output in own.output]

    def finish(self, *, notes: dict[str, str]) -> onnx.ModelProto:
        """Make the model, and hold it against ONNX's own rules; BadModelError when it breaks one."""
        made = helper.make_graph(self._nodes, "millrace", self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid("", MAIN_OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="millrace")
        helper.set_model_props(model, notes)
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as fault:
            raise errors.BadModelError(f"the ONNX graph is not valid: {fault}") from fault
        return model
