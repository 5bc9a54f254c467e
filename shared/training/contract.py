"""The kinds of job of the training role, with their commands and results."""

from collections.abc import Mapping
from typing import Any

import pydantic

from shared import contract, ping
from shared.catalog import adoption
from shared.training import columns, exports, updates
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

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse columns that the data lacks, and a recipe that doesn't fit it."""
        columns.check(self, pinned)


FIT = contract.Kind(
    name="training.fit",
    command=TrainModel,
    result=TrainedModel,
    description="Validate and fit a scikit-learn model, as a new version of a model.",
)
ADOPT = adoption.kind_for("training.adopt", of="model")
PING = ping.kind_for("training")
KINDS = (FIT, SEARCH, TRIAL, exports.EXPORT, updates.UPDATE, ADOPT, PING)
