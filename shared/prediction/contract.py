"""What the prediction role is asked and what it answers."""

from collections.abc import Mapping
from typing import Any

import pydantic

from shared import column_names, contract, ping
from shared.catalog import adoption


class PredictBatch(contract.Command):
    """Predict every row of a dataset, giving a new dataset with the input's columns and those of the model's problem.

    classification: `prediction`, and `probability_<class>` where the estimator has probabilities. multilabel:
    `prediction`, a text that lists the labels, then `prediction_<label>` (0 or 1) and `probability_<label>`.
    regression: `prediction`. quantile: `prediction`, the one nearest to the median, and `quantile_<level>`. Both with
    conformal intervals: `prediction_lower` and `prediction_upper`. clustering: `prediction`, the cluster's number, -1
    for none, and for mixtures `probability_<cluster>`. anomaly: `prediction`, true where the row is strange, and
    `anomaly_score`, higher being stranger and above 0 strange.
    """

    model: contract.ModelRef
    dataset: contract.DatasetRef
    name: contract.Name | None = pydantic.Field(
        default=None, description="The dataset to make a version of; `<model>-predictions` when left out."
    )

    prefix: str = pydantic.Field(
        default="",
        pattern="^[A-Za-z0-9_]*$",
        max_length=50,
        description="What the names of the added columns begin with, for data that has columns of these names already.",
        examples=["churn_"],
    )

    @property
    def datasets(self) -> tuple[str, ...]:
        """The dataset that the predicted rows become."""
        return (self.name or f"{self.model.partition('@')[0]}-predictions",)

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse a dataset that lacks a column that the model needs."""
        model = contract.ModelPin.model_validate(pinned["model"])
        data = contract.DatasetPin.model_validate(pinned["dataset"])
        column_names.require(model.needs, present=data.names, pointer="#/params/dataset")


class PredictedBatch(contract.Result):
    """The dataset that holds the input's columns and the predictions."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was made.")
    warnings: list[str] = pydantic.Field(description="What looks wrong, each in a sentence.")


BATCH = contract.Kind(
    name="prediction.batch",
    command=PredictBatch,
    result=PredictedBatch,
    description="Predict every row of a dataset with a model's version, Parquet to Parquet.",
)
ADOPT = adoption.kind_for("prediction.adopt", of="dataset")
PING = ping.kind_for("prediction")
KINDS = (BATCH, ADOPT, PING)
