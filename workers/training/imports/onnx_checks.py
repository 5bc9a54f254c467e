"""Reads a foreign ONNX model, and refuses what isn't standard, what refers to other files, and what knows no bounds.

docs/decisions/imports.md, "A foreign ONNX model is standard, whole and bounded".
"""

import collections
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import onnx

from shared import errors

MAX_BYTES = 1 << 29
MAX_NODES = 100_000
OLDEST_OPSET = 9
STANDARD = ("", "ai.onnx.ml")
RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
SIZED_BY = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "ConstantOfShape": (0,),
    "DFT": (1,),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "STFT": (1, 3),
    "Tile": (1,),
    "Upsample": (1,),
}
"""The inputs of operators whose values say how large the output is."""


def read(path: Path, *, folder: Path | None = None) -> onnx.ModelProto:
    """Read a model; BadModelError for what isn't one, and for what Millrace doesn't run.

    `folder` has the files in which some of its tensors may stand.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise errors.BadModelError(f"the ONNX model has {size:,} bytes; at most {MAX_BYTES:,} are imported")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except Exception as error:
        raise errors.BadModelError(f"this is not an ONNX model: {error}") from error
    if not model.graph.output:
        raise errors.BadModelError("this is not an ONNX model: it has no graph with outputs")
    if folder is not None:
        _fetch_tensors(model, folder)
    check(model)
    return model


def _fetch_tensors(model: onnx.ModelProto, folder: Path) -> None:
    """Bring tensors inside that stand in files beside the model, together at most as many bytes as a model has."""
    total = 0
    for tensor in _walk_tensors(model.graph):
        if not tensor.external_data:
            continue
        place = {entry.key: entry.value for entry in tensor.external_data}
        name, start, length = place.get("location", ""), place.get("offset", "0"), place.get("length", "")
        file = folder / name
        if PurePosixPath(name).name != name or not file.is_file() or not start.isdecimal() or not length.isdecimal():
            raise errors.BadModelError(f"the tensor {tensor.name[:100]!r} stands in {name[:100]!r}, which isn't there")
        total += int(length)
        if total > MAX_BYTES:
            raise errors.BadModelError(f"the model's tensors have more than {MAX_BYTES:,} bytes")
        with file.open("rb") as opened:
            opened.seek(int(start))
            tensor.raw_data = opened.read(int(length))
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT


def check(model: onnx.ModelProto) -> None:
    """Check a model, and leave out what it declares and doesn't use; raises BadModelError."""
    if model.functions:
        raise errors.BadModelError(
            "the model has functions of its own; write them into its graph with onnx.inliner.inline_local_functions"
        )
    del model.training_info[:]
    del model.metadata_props[:]
    nodes = list(walk(model.graph))
    if len(nodes) > MAX_NODES:
        raise errors.BadModelError(f"the model has {len(nodes):,} nodes; at most {MAX_NODES:,} are imported")
    for node in nodes:
        node.domain = "" if node.domain == "ai.onnx" else node.domain
    _require_standard(nodes)
    _normalize_opsets(model, used={node.domain for node in nodes})
    _require_known(nodes, opsets={opset.domain: opset.version for opset in model.opset_import})
    _require_whole(model)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise errors.BadModelError(f"the ONNX model is not valid: {error}") from error
    _require_bounded(model.graph)


def count_operators(model: onnx.ModelProto) -> dict[str, int]:
    """Count the nodes of each operator, those of subgraphs included."""
    return dict(sorted(collections.Counter(node.op_type for node in walk(model.graph)).items()))


def walk(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph, and of the graphs inside it."""
    for node in graph.node:
        yield node
        for inner in list_subgraphs(node):
            yield from walk(inner)


def list_subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """List the graphs that a node holds, such as the branches of an If."""
    inner = []
    for attribute in node.attribute:
        inner += [attribute.g] if attribute.HasField("g") else []
        inner += attribute.graphs
    return inner


def _require_standard(nodes: list[onnx.NodeProto]) -> None:
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in STANDARD})
    if foreign:
        raise errors.BadModelError(
            f"the model uses operators that are not standard: {', '.join(foreign[:10])}; only those of ONNX itself and "
            "of ai.onnx.ml are run"
        )


def _normalize_opsets(model: onnx.ModelProto, *, used: set[str]) -> None:
    versions = {"" if opset.domain == "ai.onnx" else opset.domain: opset.version for opset in model.opset_import}
    newest = onnx.defs.onnx_opset_version()
    main = versions.get("", newest if "" not in used else 0)
    if "" in used and not OLDEST_OPSET <= main <= newest:
        raise errors.BadModelError(
            f"the model is of opset {main}; those from {OLDEST_OPSET} to {newest} are known here: export it for one of "
            "them, or convert it with onnx.version_converter"
        )
    if model.ir_version > onnx.IR_VERSION:
        raise errors.BadModelError(
            f"the model's IR version is {model.ir_version}, and {onnx.IR_VERSION} is the newest that is known here"
        )
    del model.opset_import[:]
    model.opset_import.extend(
        onnx.helper.make_opsetid(domain, version) for domain, version in versions.items() if domain in used
    )


def _require_known(nodes: list[onnx.NodeProto], *, opsets: dict[str, int]) -> None:
    for domain, operator in sorted({(node.domain, node.op_type) for node in nodes}):
        if operator in RANDOM:
            raise errors.BadModelError(f"the model uses {operator}, so that it never answers twice alike")
        if operator == "Loop":
            raise errors.BadModelError("the model has a Loop, which may never end; export it without")
        if not onnx.defs.has(operator, opsets.get(domain, 0), domain):
            raise errors.BadModelError(
                f"opset {opsets.get(domain)} of {domain or 'ONNX'} has no operator {operator[:100]!r}"
            )


def _require_whole(model: onnx.ModelProto) -> None:
    """Refuse tensors that stand in other files, which nobody has uploaded, or which are not the client's to read."""
    for tensor in _walk_tensors(model.graph):
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise errors.BadModelError(
                f"the tensor {tensor.name[:100]!r} stands in another file; save the model with its data inside "
                "(onnx.save(…, save_as_external_data=False))"
            )


def _walk_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (*attribute.tensors, attribute.t)
            for sparse in (*attribute.sparse_tensors, attribute.sparse_tensor):
                yield from (sparse.values, sparse.indices)
        for inner in list_subgraphs(node):
            yield from _walk_tensors(inner)


def _require_bounded(graph: onnx.GraphProto) -> None:
    """Refuse graphs where the values of rows, and not only how many there are, say how much memory it takes."""
    constants = {tensor.name for tensor in graph.initializer}
    _follow(graph, {value.name for value in graph.input if value.name not in constants})


def _follow(graph: onnx.GraphProto, dependent: set[str]) -> None:
    """Follow which tensors depend on the rows' values, in the order of the nodes."""
    for node in graph.node:
        sized_by = [node.input[place] for place in SIZED_BY.get(node.op_type, ()) if place < len(node.input)]
        if dependent.intersection(sized_by):
            raise errors.BadModelError(
                f"the values of a row say how large the output of {node.op_type} {node.name[:100]!r} is, so that one "
                "row could take any amount of memory"
            )
        inner = list_subgraphs(node)
        for subgraph in inner:
            _follow(subgraph, dependent | {value.name for value in subgraph.input})
        if inner or (node.op_type not in ("Shape", "Size") and dependent.intersection(node.input)):
            # An output that is left out has no name, and so has an input.
            dependent |= {name for name in node.output if name}
