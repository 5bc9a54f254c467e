"""Learning on from a stored version."""

import pydantic

from shared import contract
from shared.training import experiments, validations


class UpdateModel(contract.Command):
    """Let a stored version learn from more rows, as the next version of the same model.

    Only estimators that learn in parts can (scikit-learn's `partial_fit`: SGD…, Perceptron, …NB, MLP…, MiniBatchKMeans
    …). What the recipe has learned stays as it was, and so do the classes.
    """

    model: contract.ModelRef
    dataset: contract.DatasetRef = pydantic.Field(description="The new rows, with the target under its name.")
    target: validations.ColumnName | None = pydantic.Field(
        default=None, description="The column to predict, where the new rows have it under another name."
    )
    batches: int = pydantic.Field(
        default=5,
        ge=1,
        le=1000,
        description="In how many parts, in the order of the rows, it learns. The metrics are those that each part gave "
        "just before it was learned from.",
    )


KINDS = (
    contract.Kind(
        name="training.update",
        command=UpdateModel,
        result=experiments.TrainedModel,
        description="Let a stored model learn from more rows, as the model's next version.",
    ),
)
