"""What the prediction role is asked and what it answers."""

import pydantic

from shared import contract


class PredictBatch(contract.Command):
    """Predict every row of a dataset, giving a new dataset."""

    model: contract.ModelRef
    dataset: contract.DatasetRef
    name: contract.Name | None = pydantic.Field(
        default=None, description="The dataset to make a version of; `<model>-predictions` when left out."
    )


class PredictedBatch(contract.Result):
    """The dataset that holds the input's columns and the predictions."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was made.")
    warnings: list[str] = pydantic.Field(description="What looks wrong, each in a sentence.")


KINDS = (
    contract.Kind(
        name="prediction.batch",
        command=PredictBatch,
        result=PredictedBatch,
        description="Predict every row of a dataset with a model's version, Parquet to Parquet.",
    ),
)
