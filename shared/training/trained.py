"""The result of every job that makes a model's next version."""

import pydantic

from shared import contract, positive_class
from shared.figures import curves
from shared.recipe import conditions
from shared.training import segments, validations


class TrainedModel(contract.Result):
    """A model's new version, with how well it did."""

    class Model(contract.Result):
        """The version that was made."""

        name: str = pydantic.Field(description="The model's name.")
        version: int = pydantic.Field(description="The version, counted from 1.")
        sha256: str = pydantic.Field(description="SHA-256 of the artifact, in hexadecimal.")

    model: Model = pydantic.Field(description="The version that was made.")
    metrics: dict[str, validations.Metric] = pydantic.Field(
        description="Metrics by scikit-learn's names, on held-out data."
    )
    all_rows: curves.ClusteredRows | None = pydantic.Field(
        default=None,
        description="For clusters: the version itself on all rows that it was fitted on, beside `metrics`, which are "
        "those of the validation's models on rows that these hadn't seen. An update has none.",
    )
    positive: positive_class.Label | None = pydantic.Field(
        default=None,
        description="Of a classification of two classes, the one that `precision`, `recall`, `f1` and "
        "`average_precision` are about; `notes` say why when it was not requested.",
    )
    rows: int = pydantic.Field(description="How many rows the model was fitted on.")
    where: conditions.KeptRows | None = pydantic.Field(
        default=None, description="The condition on the rows to learn from, and how many it keeps, if there was one."
    )
    per: segments.PerValue | None = pydantic.Field(
        default=None, description="With `per`: the models of the single values, beside this one, which is for all."
    )
    dropped_columns: dict[str, str] = pydantic.Field(description="Columns left out, each with the reason.")
    warnings: list[str] = pydantic.Field(description="What looks wrong, such as a column that leaks the target.")
    notes: list[str] = pydantic.Field(description="What was decided automatically, each in a sentence.")
