"""What the training role is asked and what it answers."""

from collections.abc import Mapping
from typing import Any

import pydantic

from shared import contract, ping
from shared.catalog import adoption
from shared.training import columns, experiments, exports, refinements, updates, validations
from shared.training.search.commands import SEARCH, TRIAL

# The parts live in files of their own, so that every job that trains can be made of them; they are found here.
Problem = experiments.Problem
ParameterValue = experiments.ParameterValue
Estimator = experiments.Estimator
Conformal = refinements.Conformal
CrossValidation = validations.CrossValidation
HoldOut = validations.HoldOut
TimeSeries = validations.TimeSeries
Validation = validations.Validation
Metric = validations.Metric
TrainedModel = experiments.TrainedModel


class TrainModel(experiments.Experiment):
    """Validate and fit a model on a dataset or a feature set, as a new version of a model."""

    estimator: experiments.Estimator = pydantic.Field(description="What learns.")

    @pydantic.model_validator(mode="after")
    def _has_an_estimator_that_fits(self) -> "TrainModel":
        self.refuse_unfit(self.estimator)
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
