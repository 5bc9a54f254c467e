"""Learning on from a stored version."""

from collections.abc import Mapping
from typing import Any, cast

import pydantic

from shared import column_names, contract
from shared.training import columns, validations
from shared.training.trained import TrainedModel


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
        "just before it was learned from; parts of fewer than 30 rows are scored together.",
    )

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse rows without the target, or without a column that the model needs."""
        model = contract.ModelPin.model_validate(pinned["model"])
        data = contract.DatasetPin.model_validate(pinned["dataset"])
        target = self.target or model.target
        several = cast(list[str] | None, model.signature.get("targets"))
        field, names = ("targets", several) if several else ("target", [target] if target else [])
        pointer = "#/params/target" if self.target and not several else "#/params/dataset"
        for name in names:
            columns.column(name, field=field, columns=data.columns, pointer=pointer)
        present = [column.name for column in columns.features(data.columns, beside=names)]
        column_names.require(model.needs, present=present, pointer="#/params/dataset")


UPDATE = contract.Kind(
    name="training.update",
    command=UpdateModel,
    result=TrainedModel,
    description="Let a stored model learn from more rows, as the model's next version.",
)
