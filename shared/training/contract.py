"""What the training role is asked and what it answers."""

from typing import Annotated, Literal

import pydantic

from shared import contract
from shared.recipe import Recipe
from shared.training import estimators

Problem = Literal["classification", "regression"]
ParameterValue = bool | int | float | str | None | list[bool | int | float | str | None] | dict[str, float | int]


class Estimator(contract.Document):
    """A scikit-learn estimator from the allow-list, with its parameters."""

    name: str = pydantic.Field(
        max_length=100,
        description="The estimator's class name in scikit-learn.",
        json_schema_extra={"enum": [*sorted(estimators.ALLOWED)]},
        examples=["LogisticRegression"],
    )
    params: dict[str, ParameterValue] = pydantic.Field(
        default={}, max_length=100, description="Its constructor's parameters, as scikit-learn documents them."
    )

    @pydantic.model_validator(mode="after")
    def _is_allowed(self) -> "Estimator":
        estimators.check(self.name, self.params)
        return self


class CrossValidation(contract.Document):
    """Fit on all folds but one, score on that one, for each; then fit on everything."""

    method: Literal["cross_validation"]
    folds: int = pydantic.Field(default=5, ge=2, le=50, description="How many folds; stratified for classification.")
    seed: int = pydantic.Field(default=0, ge=0, le=2**32 - 1, description="Seeds the shuffling.")


class HoldOut(contract.Document):
    """Fit on one part, score on the other; then fit on everything."""

    method: Literal["hold_out"]
    test_fraction: float = pydantic.Field(default=0.2, gt=0, lt=1, description="The part that is held out.")
    seed: int = pydantic.Field(default=0, ge=0, le=2**32 - 1, description="Seeds the shuffling.")


Validation = Annotated[CrossValidation | HoldOut, pydantic.Field(discriminator="method")]


class TrainModel(contract.Command):
    """Validate and fit a model on a dataset or a feature set, as a new version of a model."""

    name: contract.Name = pydantic.Field(description="The model whose next version this makes.")
    dataset: contract.DatasetRef | None = pydantic.Field(
        default=None, description="The data to learn from: `name@3` or `name@latest`; or give `features`."
    )
    features: contract.FeaturesRef | None = pydantic.Field(
        default=None, description="A feature set, which stands for its dataset and its recipe; or give `dataset`."
    )
    target: str = pydantic.Field(min_length=1, max_length=1000, description="The column to predict.")
    problem: Problem = pydantic.Field(description="What sort of prediction it is.")
    estimator: Estimator = pydantic.Field(description="What learns.")
    recipe: Recipe | None = pydantic.Field(
        default=None, description="Feature engineering, fitted inside each fold; inferred from the data when left out."
    )
    validation: Validation = pydantic.Field(
        default=CrossValidation(method="cross_validation"), description="How the model is validated."
    )
    seed: int = pydantic.Field(
        default=0, ge=0, le=2**32 - 1, description="`random_state` of an estimator that has one and was given none."
    )

    @pydantic.model_validator(mode="after")
    def _has_one_source(self) -> "TrainModel":
        if (self.dataset is None) == (self.features is None):
            raise ValueError("give either `dataset` or `features`, not both and not neither")
        if self.features is not None and self.recipe is not None:
            raise ValueError("a feature set has its own recipe; leave `recipe` out, or give `dataset`")
        if self.problem not in estimators.ALLOWED[self.estimator.name].problems:
            fitting = sorted(n for n, spec in estimators.ALLOWED.items() if self.problem in spec.problems)
            raise ValueError(f"{self.estimator.name} does no {self.problem}; these do: {', '.join(fitting)}")
        return self


class Metric(contract.Document):
    """A metric over the folds."""

    mean: float = pydantic.Field(description="The mean over the folds.")
    std: float = pydantic.Field(description="The standard deviation over the folds (population).")
    folds: list[float] = pydantic.Field(description="The value on each fold's held-out part.")


class TrainedModel(contract.Result):
    """A model's new version, with how well it did."""

    class Model(contract.Result):
        """The version that was made."""

        name: str = pydantic.Field(description="The model's name.")
        version: int = pydantic.Field(description="The version, counted from 1.")
        sha256: str = pydantic.Field(description="SHA-256 of the artifact, in hexadecimal.")

    model: Model = pydantic.Field(description="The version that was made.")
    metrics: dict[str, Metric] = pydantic.Field(description="Metrics by scikit-learn's names, on data not fitted on.")
    rows: int = pydantic.Field(description="How many rows the model was fitted on.")
    dropped_columns: dict[str, str] = pydantic.Field(description="Columns left out, each with the reason.")
    warnings: list[str] = pydantic.Field(description="What looks wrong, such as a column that leaks the target.")
    notes: list[str] = pydantic.Field(description="What was done by itself, each in a sentence.")


KINDS = (
    contract.Kind(
        name="training.fit",
        command=TrainModel,
        result=TrainedModel,
        description="Validate and fit a scikit-learn model, as a new version of a model.",
    ),
)
