"""What every job that trains is told: the data, the problem, how the model is validated and refined."""

from typing import Annotated, Literal

import pydantic

from shared import contract
from shared.recipe.language import Recipe
from shared.training import random_splits, refinements, validations
from shared.training.estimators import catalogue
from shared.training.estimators.document import Estimator, Text
from shared.training.estimators.spec import MAX_LIST_LENGTH, STOPPING, WITHOUT_TARGET, Problem

Weight = Annotated[float, pydantic.Field(ge=0, le=1e9)]
Quantile = Annotated[float, pydantic.Field(gt=0, lt=1)]
MAX_TARGETS = 200
DEFAULT_QUANTILES = (0.05, 0.5, 0.95)


class Setup(contract.Command):
    """What is to be learned from which data, and how it is validated and refined."""

    dataset: contract.DatasetRef | None = pydantic.Field(
        default=None, description="The data to learn from: `name@3` or `name@latest`; or give `features`."
    )
    features: contract.FeaturesRef | None = pydantic.Field(
        default=None, description="A feature set, which stands for its dataset and its recipe; or give `dataset`."
    )
    problem: Problem = pydantic.Field(
        description=(
            "What sort of prediction it is: `classification` (two labels or more), `multilabel` (any number of labels "
            "a row), `regression`, `quantile` (several quantiles of a number), `clustering` (no target) or `anomaly` "
            "(a target, if there is one, serves the metrics only)."
        )
    )
    target: validations.ColumnName | None = pydantic.Field(
        default=None,
        description=(
            "The column to predict; for `multilabel` a text that lists labels; for `anomaly` true (1) where a row is "
            "strange."
        ),
    )
    targets: list[validations.ColumnName] | None = pydantic.Field(
        default=None, min_length=2, max_length=MAX_TARGETS, description="The 0/1 columns of `multilabel`, one a label."
    )
    separator: str | None = pydantic.Field(
        default=None, min_length=1, max_length=5, description="What parts the labels in `target`; `,` when left out."
    )
    quantiles: list[Quantile] | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=20,
        description="The quantiles of the problem `quantile`, growing; 0.05, 0.5 and 0.95 when left out.",
    )
    conformal: refinements.Conformal | None = pydantic.Field(
        default=None, description="Gives each prediction of `regression` or `quantile` an interval."
    )
    recipe: Recipe | None = pydantic.Field(
        default=None, description="Feature engineering, fitted inside each fold; inferred from the data when left out."
    )
    validation: validations.Validation = pydantic.Field(
        default=validations.CrossValidation(method="cross_validation"), description="How the model is validated."
    )
    class_weight: Literal["balanced"] | dict[Text, Weight] | None = pydantic.Field(
        default=None,
        max_length=MAX_LIST_LENGTH,
        description=(
            "How much each class counts in fitting, by label, or `balanced`; with estimators that have no such "
            "parameter each row is weighted by its class."
        ),
    )
    sample_weight: validations.ColumnName | None = pydantic.Field(
        default=None,
        description="A column that says how much each row counts, in fitting and in the metrics; no feature.",
    )
    calibration: refinements.Calibration | None = pydantic.Field(
        default=None, description="Corrects a classifier's probabilities."
    )
    threshold: refinements.Threshold | None = pydantic.Field(
        default=None, description="From which probability on a binary classifier says the positive class."
    )
    early_stopping: refinements.EarlyStopping | None = pydantic.Field(
        default=None, description="Stops an estimator that learns in rounds once it gets no better."
    )
    explain: refinements.Explain = pydantic.Field(
        default=refinements.Explain(), description="What the version's `details` tell besides the curves."
    )
    seed: validations.Seed = pydantic.Field(
        default=0, description="`random_state` of an estimator that has one and was given none."
    )

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
        return None if isinstance(self.validation, validations.TimeSeries) else self.validation.group

    @property
    def time(self) -> str | None:
        """The column that a time series is ordered by."""
        return self.validation.time if isinstance(self.validation, validations.TimeSeries) else None

    @property
    def gap(self) -> int:
        """How many rows of a time series lie between what is fitted on and what is held out."""
        return self.validation.gap if isinstance(self.validation, validations.TimeSeries) else 0

    @pydantic.model_validator(mode="after")
    def _has_one_source(self) -> "Setup":
        if (self.dataset is None) == (self.features is None):
            raise ValueError("give either `dataset` or `features`, not both and not neither")
        if self.features is not None and self.recipe is not None:
            raise ValueError("a feature set has its own recipe; leave `recipe` out, or give `dataset`")
        if self.recipe is not None and self.recipe.table_steps:
            last = self.recipe.steps[self.recipe.table_steps - 1]
            raise ValueError(
                f"step {self.recipe.table_steps} of the recipe ({last.op}) looks at whole tables, which a model never "
                "sees; make a dataset of it by processing.fit and apply, and train on that"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _has_the_target_of_its_problem(self) -> "Setup":
        if self.problem == "multilabel":
            if (self.target is None) == (self.targets is None):
                raise ValueError(
                    "multilabel needs either `targets`, 0/1 columns, or `target`, a text that lists labels"
                )
            if self.separator is not None and self.target is None:
                raise ValueError("`separator` goes with `target`; 0/1 columns need none")
        elif self.targets is not None or self.separator is not None:
            raise ValueError(f"`targets` and `separator` are for multilabel; {self.problem} takes one `target`")
        elif self.problem == "clustering" and self.target is not None:
            raise ValueError("clustering learns without a target; leave `target` out")
        elif self.problem not in WITHOUT_TARGET and self.target is None:
            raise ValueError(f"{self.problem} needs a `target`, the column to predict")
        return self

    @pydantic.model_validator(mode="after")
    def _uses_each_column_once(self) -> "Setup":
        named: list[str | None] = [*(self.targets or []), self.target, self.sample_weight, self.group]
        used = [name for name in named if name is not None]
        twice = sorted({name for name in used if used.count(name) > 1})
        if twice:
            raise ValueError(
                f"column {twice[0]!r} is named twice; a target, a weight and a group are different columns"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _has_only_what_its_problem_takes(self) -> "Setup":
        for field, problems in ONLY_FOR.items():
            if getattr(self, field) is not None and self.problem not in problems:
                raise ValueError(f"`{field}` is for {' or '.join(problems)}; leave it out for {self.problem}")
        stratified = None if isinstance(self.validation, validations.TimeSeries) else self.validation.stratified
        if stratified and not (self.problem in ("classification", "anomaly") and self.target):
            raise ValueError(f"`stratified` needs classes; leave it out for {self.problem}")
        return self

    @pydantic.model_validator(mode="after")
    def _has_sound_quantiles(self) -> "Setup":
        if self.quantiles is not None and sorted(set(self.quantiles)) != self.quantiles:
            raise ValueError(f"the quantiles must grow, but are {self.quantiles}")
        if self.problem == "quantile" and self.conformal is not None:
            if self.quantiles is not None:
                raise ValueError("with `conformal` the quantiles follow from its confidence; leave `quantiles` out")
            if self.conformal.method != "split":
                raise ValueError("conformal quantiles are made by the method split")
        return self

    def refuse_unfit(self, estimator: Estimator) -> None:
        """Raise ValueError, saying what would do, for an estimator that can't be used in this experiment."""
        spec = catalogue.specs()[estimator.name]
        if self.problem not in spec.problems:
            fitting = sorted(name for name, other in catalogue.specs().items() if self.problem in other.problems)
            raise ValueError(f"{estimator.name} does no {self.problem}; these do: {', '.join(fitting)}")
        for member in estimator.all_members:
            if self.problem not in catalogue.specs()[member.name].problems:
                raise ValueError(f"{estimator.name}: its member {member.name} does no {self.problem}")
        self._refuse_what_is_given_twice(estimator)
        if self.time is not None or self.group is not None:
            random_splits.refuse(
                (estimator.name, estimator.params),
                members=[(member.name, member.params) for member in estimator.all_members],
                problem=self.problem,
                in_order=self.time is not None,
                stops=self.early_stopping is not None,
            )
        if self.early_stopping is not None and not spec.stops:
            raise ValueError(f"{estimator.name} has no rounds to stop; leave `early_stopping` out")
        weighted = spec.weighted and all(catalogue.specs()[member.name].weighted for member in estimator.all_members)
        by_rows = self.class_weight is not None and "class_weight" not in spec.parameters
        if not weighted and (self.sample_weight is not None or by_rows):
            raise ValueError(f"{estimator.name} takes no weights; leave `sample_weight` and `class_weight` out")

    def _refuse_what_is_given_twice(self, estimator: Estimator) -> None:
        spec = catalogue.specs()[estimator.name]
        settled: dict[str, list[str]] = {
            "class_weight": ["class_weight"] if self.class_weight is not None else [],
            "early_stopping": STOPPING if self.early_stopping is not None else [],
            "quantiles": [spec.quantile or "", "loss", "objective"] if self.problem == "quantile" else [],
        }
        for field, parameters in settled.items():
            for parameter in parameters:
                if parameter in estimator.params:
                    raise ValueError(
                        f"{estimator.name}: `{parameter}` follows from `{field}`; leave it out of its `params`"
                    )


class TrainingCommand(Setup):
    """A setup, and the model whose next version comes of it."""

    name: contract.Name = pydantic.Field(description="The model whose next version this makes.")


# Fields that only some problems take.
ONLY_FOR: dict[str, tuple[Problem, ...]] = {
    "quantiles": ("quantile",),
    "conformal": ("regression", "quantile"),
    "class_weight": ("classification",),
    "calibration": ("classification",),
    "threshold": ("classification",),
    "early_stopping": ("classification", "multilabel", "regression", "quantile"),
}
