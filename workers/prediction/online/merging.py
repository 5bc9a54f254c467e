"""What a deployment predicts for the rows of a request, put together from what its versions predict."""

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from shared import contract
from workers.prediction.online.lookups.joining import Freshness
from workers.prediction.online.versions import Answer, Version


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a deployment predicts for the rows of a request."""

    columns: list[contract.Column]
    values: list[list[Any]]
    """By column, for each row."""
    versions: list[str]
    """The version that answered each row, as `name@version`."""
    ids: list[str] = dataclasses.field(default_factory=list)
    """The signed ids of the rows, one for each 64."""
    features: Freshness | None = None
    """Which features were looked up for them, if any were."""
    members: "Mapping[str, Prediction] | None" = None
    """What each deployment that a graph has asked predicted; None where a deployment has versions of its own."""
    failed_members: Mapping[str, str] | None = None
    """Why deployments were left out of an ensemble; None where it is none."""


def pick(values: Sequence[Any], members: Sequence[int]) -> Sequence[Any]:
    """Pick the values of some rows."""
    if len(members) == 1:
        return [values[members[0]]]
    picked: tuple[Any, ...] = operator.itemgetter(*members)(values)
    return picked


def merge(parts: Sequence[tuple[Sequence[int], Answer, Version]], *, rows_count: int) -> Prediction:
    """Put the rows of several versions together; a column that a version doesn't predict is None for its rows."""
    columns: dict[str, contract.Column] = {}
    for _, answer, _ in parts:
        columns |= {column.name: column for column in answer.columns if column.name not in columns}
    values: dict[str, list[Any]] = {name: [None] * rows_count for name in columns}
    versions = [""] * rows_count
    for members, answer, version in parts:
        for column, answered in zip(answer.columns, answer.values, strict=True):
            merged = values[column.name]
            for row, value in zip(members, answered, strict=True):
                merged[row] = value
        label = version.pin.label
        for row in members:
            versions[row] = label
    return Prediction(list(columns.values()), list(values.values()), versions)
