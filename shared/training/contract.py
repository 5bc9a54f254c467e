"""The kinds of job of the training role, with their commands and results."""

from collections.abc import Mapping
from typing import Any

import pydantic

from shared import contract, ping
from shared.catalog import adoption
from shared.training import columns, exports, imports, segments, updates
from shared.training.estimators.document import Estimator
from shared.training.search.commands import SEARCH, TRIAL
from shared.training.setup import TrainingCommand
from shared.training.trained import TrainedModel


class TrainModel(TrainingCommand):
    """Validate and fit a model on a dataset or a feature set, as a new version of a model."""

    estimator: Estimator = pydantic.Field(description="The estimator to train.")

    @pydantic.model_validator(mode="after")
    def _has_a_suitable_estimator(self) -> "TrainModel":
        self.require_suitable(self.estimator)
        return self

    @pydantic.model_validator(mode="after")
    def _can_be_trained_per_value(self) -> "TrainModel":
        if self.per is None:
            return self
        if self.problem == "clustering" or (self.problem == "anomaly" and not (self.target or self.features)):
            raise ValueError(
                f"`per` compares models by their targets, and this {self.problem} has none; train with a `where` for "
                "each value instead"
            )
        if len(self.name) > segments.MAX_BASE_NAME:
            raise ValueError(
                f"with `per` the name has at most {segments.MAX_BASE_NAME} characters, because the values' models are "
                f"named after it; {self.name!r} has {len(self.name)}"
            )
        return self

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse columns that the data lacks, and a recipe that doesn't fit it."""
        columns.check(self, pinned)


class TrainSegment(TrainingCommand):
    """Train the model of one value, or the one for all that it is compared with, as a child of a `training.fit`."""

    estimator: Estimator = pydantic.Field(description="The estimator to train.")
    value: segments.Value | None = pydantic.Field(
        default=None, description="The value of `per` whose rows are learned from; null for all rows."
    )
    segmentation: segments.Segmentation | None = pydantic.Field(
        default=None, description="Of the model for all: all that was settled from the data."
    )


class TrainedSegment(TrainedModel):
    """The new version, and how it does on the values' rows in the folds of the model for all."""

    scores: list[segments.SegmentScores] = pydantic.Field(description="One for each value that was scored.")


SEGMENT = contract.Kind(
    name="training.segment",
    command=TrainSegment,
    result=TrainedSegment,
    description="Train the model of one value of a column, or the one for all.",
    internal=True,
)
FIT = contract.Kind(
    name="training.fit",
    command=TrainModel,
    result=TrainedModel,
    description="Validate and fit a scikit-learn model, as a new version of a model.",
)
ADOPT = adoption.kind_for("training.adopt", of="model")
PING = ping.kind_for("training")
KINDS = (FIT, SEGMENT, SEARCH, TRIAL, exports.EXPORT, updates.UPDATE, imports.IMPORT, ADOPT, PING)
