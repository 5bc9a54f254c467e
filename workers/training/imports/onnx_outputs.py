"""What a foreign ONNX model answers: which outputs are labels, probabilities or numbers, and what the classes are."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import cast

import onnx

from shared import errors
from shared.ml import targets
from shared.training import imports
from workers.training.imports.onnx_inputs import FLOATS

TensorProto = onnx.TensorProto
MAPPER = "ZipMap"
"""The operator that makes lists of maps, class to probability, which no program needs that knows the classes."""
REGRESSORS = frozenset({"LinearRegressor", "SVMRegressor", "TreeEnsembleRegressor"})
LABELS = {
    int(TensorProto.STRING): "text",
    int(TensorProto.INT64): "whole numbers",
    int(TensorProto.INT32): "whole numbers",
    int(TensorProto.BOOL): "booleans",
}
CLASS_ATTRIBUTES = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
_LABEL_NAMES = ("label", "output_label", "class", "prediction")
_SCORE_NAMES = ("probabilities", "output_probability", "probability", "scores", "logits")
_NUMBER_NAMES = ("prediction", "variable", "output")


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An output: its name, the tensor that has its values, and its second dimension's size if that is known."""

    name: str
    tensor: str
    element_type: int
    rank: int | None
    width: int | None

    @property
    def is_score(self) -> bool:
        """Whether it holds fractions."""
        return self.element_type in FLOATS


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The outputs that are used, and the classes in the order of the columns of the probabilities."""

    problem: imports.Problem
    label: Tensor | None = None
    probabilities: Tensor | None = None
    prediction: Tensor | None = None
    classes: list[targets.Label] = dataclasses.field(default_factory=list)
    renamed: list[targets.Label] | None = None
    """The whole numbers that the label has in the file, where `classes` are other names for them."""

    @property
    def is_single(self) -> bool:
        """Whether the probabilities are one number for each row, that of the second of two classes."""
        tensor = self.probabilities
        return tensor is not None and (tensor.rank == 1 or tensor.width == 1)


def choose(
    model: onnx.ModelProto,
    *,
    problem: imports.Problem | None,
    classes: list[targets.Label] | None,
    names: imports.OutputNames,
    scores: str,
) -> tuple[Outputs, list[str]]:
    """Choose the outputs, and find the classes; notes tell what was guessed. BadModelError where neither is clear."""
    mapped = _find_mapped(model)
    tensors = [mapped.get(value.name) or _describe(value) for value in model.graph.output]
    known = [tensor for tensor in tensors if tensor is not None]
    problem = problem or _guess_problem(model, known, has_classes=classes is not None, names=names)
    if problem == "regression":
        return Outputs("regression", prediction=_choose_number(known, names.prediction)), []
    label = _choose(
        known, names.label, field="label", likely=_LABEL_NAMES, fits=lambda each: each.element_type in LABELS
    )
    probabilities = None
    if scores != "none":
        probabilities = _choose(
            known, names.probabilities, field="probabilities", likely=_SCORE_NAMES, fits=lambda each: each.is_score
        )
    if label is None and probabilities is None:
        raise errors.BadModelError(
            f"the model has no output that could be a class or its probabilities: {_list(known)}"
        )
    return _with_classes(model, label, probabilities, classes)


def _find_mapped(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Find the tensors that ZipMap makes lists of maps of, by the names of these outputs."""
    found: dict[str, Tensor] = {}
    for node in model.graph.node:
        if node.op_type == MAPPER:
            width = len(read_classes(node) or []) or None
            found[node.output[0]] = Tensor(node.output[0], node.input[0], int(TensorProto.FLOAT), 2, width)
    return found


def read_classes(node: onnx.NodeProto) -> list[targets.Label] | None:
    """Read the classes that a node names."""
    for attribute in node.attribute:
        if attribute.name in CLASS_ATTRIBUTES and (attribute.ints or attribute.strings):
            texts = [text.decode("utf-8", errors="replace") for text in attribute.strings]
            return cast(list[targets.Label], texts or [*attribute.ints])
    return None


def _describe(value: onnx.ValueInfoProto) -> Tensor | None:
    if not value.type.HasField("tensor_type"):
        return None
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return Tensor(value.name, value.name, tensor.elem_type, None, None)
    sizes = [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]
    return Tensor(value.name, value.name, tensor.elem_type, len(sizes), sizes[1] if len(sizes) == 2 else None)


def _guess_problem(
    model: onnx.ModelProto, known: Sequence[Tensor], *, has_classes: bool, names: imports.OutputNames
) -> imports.Problem:
    if has_classes or names.label or names.probabilities or any(node.op_type == MAPPER for node in model.graph.node):
        return "classification"
    if names.prediction or any(node.op_type in REGRESSORS for node in model.graph.node):
        return "regression"
    if any(tensor.element_type in LABELS for tensor in known) and any(tensor.is_score for tensor in known):
        return "classification"
    raise errors.BadModelError(
        f"the model doesn't say whether it predicts classes or numbers ({_list(known)}); give `problem`",
        pointer="#/params/problem",
    )


def _choose_number(known: Sequence[Tensor], name: str | None) -> Tensor:
    chosen = _choose(known, name, field="prediction", likely=_NUMBER_NAMES, fits=lambda each: each.is_score)
    if chosen is None:
        raise errors.BadModelError(f"the model has no output of numbers: {_list(known)}")
    if chosen.width not in (None, 1):
        raise errors.BadModelError(
            f"the output {chosen.name!r} has {chosen.width} numbers for each row; a regression predicts one"
        )
    return chosen


def _choose(
    known: Sequence[Tensor], name: str | None, *, field: str, likely: Sequence[str], fits: Callable[[Tensor], bool]
) -> Tensor | None:
    """Choose the output of a name or, without one, the only one that fits or the one that is called as is usual."""
    fitting = [tensor for tensor in known if fits(tensor)]
    if name is not None:
        named = [tensor for tensor in fitting if tensor.name == name]
        if not named:
            raise errors.BadModelError(
                f"the model has no output {name[:100]!r} that could be its {field}; it has {_list(known)}",
                pointer=f"#/params/outputs/{field}",
            )
        return named[0]
    usual = [tensor for each in likely for tensor in fitting if tensor.name == each]
    if len(fitting) > 1 and not usual:
        raise errors.BadModelError(
            f"several outputs could be the model's {field}: {_list(fitting)}; give `outputs`",
            pointer="#/params/outputs",
        )
    return next(iter([*usual, *fitting]), None)


def _with_classes(
    model: onnx.ModelProto, label: Tensor | None, probabilities: Tensor | None, given: list[targets.Label] | None
) -> tuple[Outputs, list[str]]:
    in_file = _find_classes(model)
    notes: list[str] = []
    renamed = None
    if given is None:
        classes = in_file or _count_classes(label, probabilities, notes)
        if label is not None and label.element_type == TensorProto.BOOL and set(classes) == {0, 1}:
            classes = [bool(each) for each in classes]
    else:
        classes, renamed = _name_classes(in_file, label, given)
    outputs = Outputs("classification", label=label, probabilities=probabilities, classes=classes, renamed=renamed)
    _require_fit(outputs)
    return outputs, notes


def _find_classes(model: onnx.ModelProto) -> list[targets.Label] | None:
    """Find the classes that the file names; None when it names none, or several nodes name different ones."""
    found = [(node.op_type == MAPPER, read_classes(node)) for node in model.graph.node]
    named = [classes for _, classes in sorted(found, key=lambda each: not each[0]) if classes]
    is_clear = bool(named) and (any(is_map for is_map, _ in found) or all(each == named[0] for each in named))
    return named[0] if is_clear else None


def _count_classes(label: Tensor | None, probabilities: Tensor | None, notes: list[str]) -> list[targets.Label]:
    """Make classes of numbers, as many as there are probabilities, where the file names none."""
    if label is not None and label.element_type == TensorProto.BOOL:
        return [False, True]
    count = None if probabilities is None else 1 if probabilities.rank == 1 else probabilities.width
    if count is None or (label is not None and label.element_type == TensorProto.STRING):
        raise errors.BadModelError(
            "the model doesn't say what its classes are; give `classes`, in the order of its probabilities",
            pointer="#/params/classes",
        )
    classes: list[targets.Label] = [*range(max(count, 2))]
    notes.append(f"The file names no classes; they are numbered 0 to {len(classes) - 1}. Give `classes` to name them.")
    return classes


def _name_classes(
    in_file: list[targets.Label] | None, label: Tensor | None, given: list[targets.Label]
) -> tuple[list[targets.Label], list[targets.Label] | None]:
    """Settle the classes, in the order of the probabilities, and the numbers that are renamed to them, if any are."""
    if in_file is not None and {f"{each!r}" for each in in_file} == {f"{each!r}" for each in given}:
        return in_file, None
    has_numbers = label is None or label.element_type != TensorProto.STRING
    if in_file is not None and (len(in_file) != len(given) or isinstance(in_file[0], str) or not has_numbers):
        raise errors.BadModelError(
            f"the file names {len(in_file)} classes, {', '.join(f'{each!r}' for each in in_file[:10])}, which are not "
            "the given ones",
            pointer="#/params/classes",
        )
    if not has_numbers:
        if not isinstance(given[0], str):
            raise errors.BadModelError("the model's labels are texts, and the given classes are not")
        return given, None
    if label is not None and label.element_type == TensorProto.BOOL:
        return given, [0, 1]
    is_named_otherwise = in_file is not None or not isinstance(given[0], int) or isinstance(given[0], bool)
    return given, (in_file or [*range(len(given))]) if is_named_otherwise else None


def _require_fit(outputs: Outputs) -> None:
    width = None if outputs.probabilities is None else outputs.probabilities.width
    expected = 2 if outputs.is_single else width
    if expected is not None and expected != len(outputs.classes):
        raise errors.BadModelError(
            f"the model has probabilities of {expected} classes, but there are {len(outputs.classes)} classes",
            pointer="#/params/classes",
        )
    if not 2 <= len(outputs.classes) <= imports.MAX_CLASSES:
        raise errors.BadModelError(
            f"the model has {len(outputs.classes)} classes; from 2 to {imports.MAX_CLASSES} can be"
        )


def _list(known: Sequence[Tensor]) -> str:
    return ", ".join(
        f"{tensor.name[:50]!r} ({TensorProto.DataType.Name(tensor.element_type).lower()})" for tensor in known[:10]
    )
