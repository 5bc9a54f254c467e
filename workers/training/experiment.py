"""What is to be learned from which rows."""

import dataclasses
from typing import Literal, Self

from shared import contract
from shared.ml import predictions
from shared.recipe.language import Recipe
from shared.training import columns as data_columns
from shared.training import contract as training
from shared.training import experiments, refinements
from shared.training.estimators.spec import WITHOUT_TARGET

FIVE_FOLDS = training.CrossValidation(method="cross_validation")
NOTHING_MORE = refinements.Explain()


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a model is to learn, how, and with which seed. Without a recipe one is inferred from the data."""

    columns: list[contract.Column]
    problem: predictions.Problem
    estimator: training.Estimator
    target: str | None = None
    targets: list[str] | None = None
    separator: str | None = None
    quantiles: list[float] | None = None
    conformal: training.Conformal | None = None
    recipe: Recipe | None = None
    validation: training.Validation = FIVE_FOLDS
    class_weight: Literal["balanced"] | dict[str, float] | None = None
    sample_weight: str | None = None
    calibration: refinements.Calibration | None = None
    threshold: refinements.Threshold | None = None
    early_stopping: refinements.EarlyStopping | None = None
    explain: refinements.Explain = NOTHING_MORE
    seed: int = 0

    @classmethod
    def of(
        cls,
        command: experiments.Experiment,
        *,
        columns: list[contract.Column],
        estimator: training.Estimator,
        recipe: Recipe | None,
    ) -> Self:
        """Make the experiment that a command asks for, with one estimator."""
        asked = {
            field.name: getattr(command, field.name)
            for field in dataclasses.fields(cls)
            if field.name in experiments.Experiment.model_fields
        }
        return cls(**asked | {"columns": columns, "estimator": estimator, "recipe": recipe})

    @property
    def has_target(self) -> bool:
        """Whether the model learns a target; without, one serves the metrics at most."""
        return self.problem not in WITHOUT_TARGET

    @property
    def target_names(self) -> list[str]:
        """The columns that hold the truth."""
        return self.targets or ([self.target] if self.target else [])

    @property
    def list_separator(self) -> str | None:
        """What parts the labels of a text that lists them; None for everything else."""
        return (self.separator or ",") if self.problem == "multilabel" and self.target else None

    @property
    def group(self) -> str | None:
        """The column whose equal values no split may part."""
        return None if isinstance(self.validation, training.TimeSeries) else self.validation.group

    @property
    def time(self) -> str | None:
        """The column that a time series is ordered by."""
        return self.validation.time if isinstance(self.validation, training.TimeSeries) else None

    @property
    def gap(self) -> int:
        """How many rows of a time series lie between what is fitted on and what is held out."""
        return self.validation.gap if isinstance(self.validation, training.TimeSeries) else 0

    @property
    def features(self) -> list[contract.Column]:
        """The columns that may be learned from."""
        return data_columns.features(self.columns, beside=[*self.target_names, self.sample_weight, self.group])

    @property
    def target_column(self) -> contract.Column | None:
        """The single column that holds the truth, if there is one."""
        return self.column(self.target, field="target") if self.target else None

    def column(self, name: str, *, field: str) -> contract.Column:
        """Give a column that a field names; BadDataError when there is none of that name."""
        return data_columns.column(name, field=field, columns=self.columns, pointer=f"#/params/{field}")
