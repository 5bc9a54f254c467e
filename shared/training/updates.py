"""Updates: a stored version learns from more rows."""

from collections.abc import Mapping
from typing import Any, cast

import pydantic

from shared import column_names, contract
from shared.recipe import conditions, expressions
from shared.training import columns, validations
from shared.training.trained import TrainedModel


class UpdateModel(contract.Command):
    """Train a stored version on more rows, as the next version of the same model.

    Only estimators with scikit-learn's `partial_fit` can be updated (SGD…, Perceptron, …NB, MLP…, MiniBatchKMeans …).
    What the recipe has learned stays as it was, and so do the classes.
    """

    model: contract.ModelRef
    dataset: contract.DatasetRef = pydantic.Field(description="The new rows, with the target under its name.")
    target: validations.ColumnName | None = pydantic.Field(
        default=None, description="The column to predict, where the new rows have it under another name."
    )
    where: expressions.Text | None = pydantic.Field(
        default=None,
        description="Which of the new rows to learn from: those of which this is true, in the expression language of "
        "recipes. The condition of the version's own training, if it had one, is not taken over.",
    )
    batches: int = pydantic.Field(
        default=5,
        ge=1,
        le=1000,
        description="In how many batches, in the order of the rows, the model learns. Each batch is scored just "
        "before the model learns from it; batches of fewer than 30 rows are scored together.",
    )

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse rows without the target, or without a column that the model needs."""
        model = contract.ModelPin.model_validate(pinned["model"])
        data = contract.DatasetPin.model_validate(pinned["dataset"])
        target = self.target or model.target
        label_columns = cast(list[str] | None, model.signature.get("targets"))
        field, names = ("targets", label_columns) if label_columns else ("target", [target] if target else [])
        pointer = "#/params/target" if self.target and not label_columns else "#/params/dataset"
        present_by_name = columns.by_name(data.columns)
        for name in names:
            columns.find_column(name, field=field, columns=present_by_name, pointer=pointer)
        present = [column.name for column in columns.select_features(data.columns, excluded=names)]
        column_names.require(model.needs, present=present, pointer="#/params/dataset")
        if self.where is not None:
            conditions.check(self.where, columns=data.columns, pointer="#/params/where")


UPDATE = contract.Kind(
    name="training.update",
    command=UpdateModel,
    result=TrainedModel,
    description="Train a stored model on more rows, as the model's next version.",
)
