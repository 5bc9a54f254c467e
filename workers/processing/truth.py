"""Reads the target for a recipe's steps that learn from one."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from shared import contract, errors
from shared.ml import frames, targets

Problem = Literal["classification", "regression"]
MAX_CLASSES = 20


@dataclasses.dataclass(frozen=True)
class Truth:
    """The target's known values, and for each row of the file whether it has one."""

    values: targets.Values
    known: targets.Mask

    @property
    def classes(self) -> int:
        """How many classes there are; 1 for numbers."""
        return 1 if self.values.dtype == np.float64 else len(pd.unique(self.values))

    def take(self, rows: targets.Values) -> tuple[targets.Values, targets.Mask]:
        """Take the known values of some rows, by their positions in the file, and for each row whether it has one."""
        has_value = self.known[rows]
        return self.values[np.cumsum(self.known)[rows[has_value]] - 1], has_value


def read_truth(dataset: Path, *, target: contract.Column, problem: Problem | None) -> Truth:
    """Read a target, as classes or as numbers; BadDataError when its values don't allow that, or it has none."""
    problem = problem or _infer_problem(dataset, target)
    values, known = targets.read_target(dataset, target=target.name, problem=problem)
    if not len(values):
        raise errors.BadDataError(f"the target {target.name!r} has no value in any row; there is nothing to learn")
    return Truth(values, known)


def _infer_problem(dataset: Path, target: contract.Column) -> Problem:
    if target.type != "integer":
        return "regression" if target.type == "number" else "classification"
    values = frames.read_frame(dataset, columns=[target.name])[target.name]
    return "classification" if values.nunique() <= MAX_CLASSES else "regression"
