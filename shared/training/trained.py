"""The result of every job that makes a model's next version."""

import pydantic

from shared import contract
from shared.training import validations


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
    rows: int = pydantic.Field(description="How many rows the model was fitted on.")
    dropped_columns: dict[str, str] = pydantic.Field(description="Columns left out, each with the reason.")
    warnings: list[str] = pydantic.Field(description="What looks wrong, such as a column that leaks the target.")
    notes: list[str] = pydantic.Field(description="What was decided automatically, each in a sentence.")
