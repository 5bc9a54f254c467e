"""The target of a recipe's steps that learn from one."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from shared import contract, errors
from shared.ml import frames, targets

Problem = Literal["classification", "regression"]
MAX_CLASSES = 20


@dataclasses.dataclass(frozen=True)
class Truth:
    """The target's known values, and for each row of the file whether it has one."""

    values: targets.Values
    known: targets.Mask

    def of(self, rows: targets.Values) -> tuple[targets.Values, targets.Mask]:
        """Give the known values of some rows, by their places in the file, and for each whether it has one."""
        has_value = self.known[rows]
        return self.values[np.cumsum(self.known)[rows[has_value]] - 1], has_value


def read_truth(dataset: Path, *, target: contract.Column, problem: Problem | None) -> Truth:
    """Read a target, as classes or as numbers; BadDataError when it can't be what it is to be, or has no value."""
    values, known = targets.read_target(dataset, target=target.name, problem=problem or _problem(dataset, target))
    if not len(values):
        raise errors.BadDataError(f"the target {target.name!r} has no value in any row; there is nothing to learn")
    return Truth(values, known)


def _problem(dataset: Path, target: contract.Column) -> Problem:
    if target.type != "integer":
        return "regression" if target.type == "number" else "classification"
    values = frames.read_frame(dataset, columns=[target.name])[target.name]
    return "classification" if values.nunique() <= MAX_CLASSES else "regression"
