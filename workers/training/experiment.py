"""What is to be learned from which rows."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from shared import contract, errors
from shared import recipe as language
from shared.ml import frames, metrics, targets
from shared.training import contract as training

FIVE_FOLDS = training.CrossValidation(method="cross_validation")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a model is to learn, how, and with which seed. Without a recipe one is inferred from the data."""

    columns: list[contract.Column]
    target: str
    problem: metrics.Problem
    estimator: training.Estimator
    recipe: language.Recipe | None = None
    validation: training.Validation = FIVE_FOLDS
    seed: int = 0

    @property
    def features(self) -> list[contract.Column]:
        """The columns that may be learned from."""
        return [column for column in self.columns if column.name != self.target]

    @property
    def target_column(self) -> contract.Column:
        """The column to learn; BadDataError when there is none of that name."""
        for column in self.columns:
            if column.name == self.target:
                return column
        absent = frames.describe_absent(self.target, present=[column.name for column in self.columns])
        raise errors.BadDataError(f"the target is missing: {absent}", pointer="#/params/target")


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows whose target is known: raw columns and, in the same order, the target's values."""

    frame: pd.DataFrame
    values: targets.Values
    left_out: int


def read_table(dataset: Path, *, experiment: Experiment) -> Table:
    """Read a Parquet file without the rows whose target is missing; BadDataError when it is missing in all."""
    target = experiment.target_column.name
    read = frames.read_table(dataset, columns=[column.name for column in experiment.columns])
    values, known = targets.to_target(read.column(target), name=target, problem=experiment.problem)
    if len(values) == 0:
        raise errors.BadDataError(
            f"the target {target!r} has no value in any of {len(known)} rows; there is nothing to learn"
        )
    frame = frames.to_frame(read.drop_columns([target]))
    if not known.all():
        frame = frame[known].reset_index(drop=True)
    return Table(frame, values, left_out=int(np.sum(~known)))
