"""The prediction role's commands and results."""

from collections.abc import Mapping
from typing import Any

import pydantic

from shared import column_names, contract, ping
from shared.catalog import adoption


class PredictBatch(contract.Command):
    """Predict every row of a dataset, and store a new dataset with its columns and those of the predictions.

    Which columns are added depends on the model's problem. classification: `prediction`, and `probability_<class>`
    where the estimator has probabilities. multilabel: `prediction`, a text that lists the labels, then
    `prediction_<label>` (0 or 1) and `probability_<label>`. regression: `prediction`. quantile: `prediction`, the one
    nearest to the median, and `quantile_<level>`. Both with conformal intervals: `prediction_lower` and
    `prediction_upper`. clustering: `prediction`, the cluster's number, -1 for none, and for mixtures
    `probability_<cluster>`. anomaly: `prediction`, true where the row is anomalous, and `anomaly_score`, which is
    greater for more anomalous rows, and above 0 for anomalous ones.
    """

    model: contract.ModelRef
    dataset: contract.DatasetRef
    name: contract.Name | None = pydantic.Field(
        default=None, description="The dataset that gets a new version; `<model>-predictions` when left out."
    )

    prefix: str = pydantic.Field(
        default="",
        pattern="^[A-Za-z0-9_]*$",
        max_length=50,
        description="The prefix of the added columns' names, for data that already has columns with these names.",
        examples=["churn_"],
    )

    @property
    def datasets(self) -> tuple[str, ...]:
        """The name of the dataset that the job writes."""
        return (self.name or f"{self.model.partition('@')[0]}-predictions",)

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse a dataset that lacks a column that the model needs."""
        model = contract.ModelPin.model_validate(pinned["model"])
        data = contract.DatasetPin.model_validate(pinned["dataset"])
        column_names.require(model.needs, present=data.names, pointer="#/params/dataset")


class PredictedBatch(contract.Result):
    """The dataset with the input's columns and the predictions."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was written.")
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
