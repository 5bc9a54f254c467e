"""What the evaluation role is asked and what it answers."""

import pydantic

from shared import contract


class ScoreModel(contract.Command):
    """Score a model's version on a dataset that holds the target."""

    model: contract.ModelRef
    dataset: contract.DatasetRef
    target: str | None = pydantic.Field(
        default=None, max_length=1000, description="The column with the truth; the model's own when left out."
    )


class ScoredModel(contract.Result):
    """How well a model's version does on a dataset."""

    class Evaluation(contract.Result):
        """The evaluation that was made."""

        id: str = pydantic.Field(description="The evaluation's id.")

    evaluation: Evaluation = pydantic.Field(description="The evaluation that was made.")
    metrics: dict[str, float] = pydantic.Field(description="Metrics by scikit-learn's names.")
    rows: int = pydantic.Field(description="How many rows were scored.")
    skipped_rows: int = pydantic.Field(description="Rows without a target, which can't be scored.")
    warnings: list[str] = pydantic.Field(description="What looks wrong, each in a sentence.")


KINDS = (
    contract.Kind(
        name="evaluation.score",
        command=ScoreModel,
        result=ScoredModel,
        description="Score a model's version on a dataset with known targets.",
    ),
)
