"""The outputs of the Open Inference Protocol: which of them a request wants, and what they hold.

Without a list of its own a request gets the predicted columns. By name it also gets `predict`, another name of
`prediction`; `predict_proba`, (rows, classes); and `contributions`, what columns add to each prediction, (rows,
columns), with what tells of them: `contributions_columns`, `contributions_bias`, `contributions_output` and
`contributions_class`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import orjson

from shared import errors
from workers.prediction.online import contributions
from workers.prediction.online.faces import tensors
from workers.prediction.online.merging import Prediction
from workers.prediction.online.versions import Version

_PREDICTION, _ALIAS = "prediction", "predict"
_PROBABILITIES = ("predict_proba", "probability_")
CONTRIBUTIONS = "contributions"
_CLASS = f"{CONTRIBUTIONS}_class"
_PARTS = {
    CONTRIBUTIONS: ("FP64", 2),
    f"{CONTRIBUTIONS}_columns": ("BYTES", 2),
    f"{CONTRIBUTIONS}_bias": ("FP64", 1),
    f"{CONTRIBUTIONS}_output": ("FP64", 1),
    _CLASS: ("BYTES", 1),
}
"""The outputs that tell of contributions, each with its datatype and how many dimensions it has."""


@dataclasses.dataclass(frozen=True)
class Output:
    """An output of a response, with its values in row-major order."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any]
    is_binary: bool
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)


def read_contributions(outputs: Any) -> contributions.Wanted | None:
    """Read which contributions a request's outputs want; None for none. The parameters are those of the first."""
    if not isinstance(outputs, list):
        return None
    named = [each for each in outputs if isinstance(each, dict)]
    of_contributions = [each for each in named if str(each.get("name")).startswith(CONTRIBUTIONS)]
    if not any(each.get("name") in _PARTS for each in of_contributions):
        return None
    parameters = of_contributions[0].get("parameters")
    options = parameters if isinstance(parameters, dict) else {}
    return contributions.read({name: options[name] for name in contributions.OPTIONS if name in options})


def describe(version: Version) -> list[dict[str, Any]]:
    """Describe the outputs of a version: the predicted columns, and contributions where it has them."""
    described = [
        {"name": column.name, "datatype": tensors.datatype_of(column), "shape": [-1]} for column in version.outputs
    ]
    if contributions.can_explain(version):
        described += [
            {"name": name, "datatype": datatype, "shape": [-1] * dimensions}
            for name, (datatype, dimensions) in _PARTS.items()
            if name != _CLASS or version.pin.problem == "classification"
        ]
    return described


def make(
    outputs: Any, predicted: Prediction, explained: contributions.Explained | None, *, is_binary: bool
) -> list[Output]:
    """Make the outputs that a request wants, in its order; BadDataError for one that there isn't.

    `is_binary` holds for those that say nothing of it.
    """
    if not outputs:
        wanted: Sequence[tuple[str, bool]] = [(column.name, is_binary) for column in predicted.columns]
    else:
        wanted = _list_wanted(outputs, is_binary=is_binary)
    return [_make_one(name, predicted, explained, is_binary=each) for name, each in wanted]


def _list_wanted(outputs: Any, *, is_binary: bool) -> list[tuple[str, bool]]:
    """List the outputs that are wanted, and whether each is to be binary."""
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise errors.BadDataError("`outputs` is a list of objects with a `name`")
    wanted: dict[str, bool] = {}
    for each in outputs:
        name, parameters = str(each.get("name")), each.get("parameters")
        if name in wanted:
            raise errors.BadDataError("`outputs` names an output twice")
        wanted[name] = bool(parameters.get("binary_data", is_binary) if isinstance(parameters, dict) else is_binary)
    return list(wanted.items())


def _make_one(
    name: str, predicted: Prediction, explained: contributions.Explained | None, *, is_binary: bool
) -> Output:
    if explained is not None and name in _PARTS and (name != _CLASS or _has_classes(explained)):
        return _make_part(name, predicted, explained, is_binary=is_binary)
    rows_count = len(predicted.versions)
    by_name = {column.name: index for index, column in enumerate(predicted.columns)}
    probabilities, prefix = _PROBABILITIES
    members = [index for each, index in by_name.items() if each.startswith(prefix)]
    if name == probabilities and members:
        rows = zip(*(predicted.values[index] for index in members), strict=True)
        flat = [value for row in rows for value in row]
        return Output(name, "FP64", [rows_count, len(members)], flat, is_binary)
    index = by_name.get(_PREDICTION if name == _ALIAS else name)
    if index is None:
        known = [*by_name, *([probabilities] if members else [])]
        raise errors.BadDataError(f"there is no output {name[:100]!r}; these are: {', '.join(known)}")
    return Output(name, tensors.datatype_of(predicted.columns[index]), [rows_count], predicted.values[index], is_binary)


def _has_classes(explained: contributions.Explained) -> bool:
    return any(row is not None and row.label is not None for row in explained.rows)


def _make_part(name: str, predicted: Prediction, explained: contributions.Explained, *, is_binary: bool) -> Output:
    """Make one of the outputs that tell of contributions; a row of a version that has none is missing there."""
    rows, part = explained.rows, name.removeprefix(f"{CONTRIBUTIONS}_")
    datatype, values = _PARTS[name][0], predicted.values[0]
    match part:
        case "class":
            datatype = tensors.datatype_of(predicted.columns[0])
            values = [label if row is None else row.label for row, label in zip(rows, values, strict=True)]
        case "bias" | "output":
            values = [row and getattr(row, part) for row in rows]
        case _:
            return _make_table(name, explained, is_binary=is_binary)
    return Output(name, datatype, [len(rows)], values, is_binary)


def _make_table(name: str, explained: contributions.Explained, *, is_binary: bool) -> Output:
    """Make the output of what columns add, or of which columns they are."""
    rows, names = explained.rows, _list_columns(explained)
    table = _tabulate(explained, names, of_columns=name != CONTRIBUTIONS)
    width = len(table[0])
    scales = ",".join(dict.fromkeys(row.scale for row in rows if row is not None))
    parameters = {"scale": scales, **({} if names is None else {"columns": orjson.dumps(names).decode()})}
    if explained.reasons:
        parameters["unexplained"] = orjson.dumps(explained.reasons).decode()
    cells = [cell for row in table for cell in row]
    return Output(name, _PARTS[name][0], [len(rows), width], cells, is_binary, parameters)


def _list_columns(explained: contributions.Explained) -> list[str] | None:
    """List the columns of all rows; None where only the first of each row are wanted, which differ."""
    if explained.is_cut:
        return None
    return list(dict.fromkeys(column for row in explained.rows if row is not None for column in row.columns))


def _tabulate(explained: contributions.Explained, names: list[str] | None, *, of_columns: bool) -> list[list[Any]]:
    """Lay out what columns add, or which columns they are, in rows of one length.

    A column that the version of a row doesn't take adds nothing there, and has no name where columns are by rank.
    """
    listed = [row.columns for row in explained.rows if row is not None]
    width = max(map(len, listed), default=0) if names is None else len(names)
    table: list[list[Any]] = []
    for row in explained.rows:
        if row is None:
            table.append([None] * width)
        elif names is None:
            filled: list[Any] = [*row.columns] if of_columns else [*row.values]
            table.append(filled + ["" if of_columns else 0.0] * (width - len(filled)))
        elif of_columns:
            table.append(names)
        else:
            added = dict(zip(row.columns, row.values, strict=True))
            table.append([added.get(name, 0.0) for name in names])
    return table
