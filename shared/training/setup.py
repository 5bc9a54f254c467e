"""The settings of every training job: the data, the problem, how the model is validated and refined."""

from typing import Annotated, Literal

import pydantic

from shared import column_names, contract, positive_class
from shared.recipe import expressions
from shared.recipe.language import Recipe
from shared.training import random_splits, refinements, segments, validations
from shared.training.estimators import allow_list
from shared.training.estimators.document import Estimator, Text
from shared.training.estimators.spec import MAX_LIST_LENGTH, STOPPING, WITHOUT_TARGET, Problem

Weight = Annotated[float, pydantic.Field(ge=0, le=1e9)]
Quantile = Annotated[float, pydantic.Field(gt=0, lt=1)]
MAX_TARGETS = 200
DEFAULT_QUANTILES = (0.05, 0.5, 0.95)


class Setup(contract.Command):
    """What to learn from which data, and how the model is validated and refined."""

    dataset: contract.DatasetRef | None = pydantic.Field(
        default=None, description="The data to learn from: `name@3` or `name@latest`; or give `features`."
    )
    features: contract.FeaturesRef | None = pydantic.Field(
        default=None, description="A feature set, used for its dataset and its recipe; or give `dataset`."
    )
    where: expressions.Text | None = pydantic.Field(
        default=None,
        description="Which rows to learn from: those of which this is true, in the expression language of recipes, "
        "over the dataset's own columns, which need not be features. Rows of which it is false or missing are left "
        "out before anything else: before rows are split, the recipe is inferred and the positive class is chosen.",
    )
    per: validations.ColumnName | None = pydantic.Field(
        default=None,
        description="A column of text, booleans or integers: besides the model for all rows, one for each of its "
        f"values is trained, at most {segments.MAX_SEGMENTS}, each as a job of its own, and compared with the one for "
        "all.",
    )
    least_per_rows: int = pydantic.Field(
        default=30, ge=2, le=10**9, description="With `per`: values with fewer rows get no model of their own."
    )
    problem: Problem = pydantic.Field(
        description=(
            "The kind of prediction: `classification` (two labels or more), `multilabel` (any number of labels per "
            "row), `regression`, `quantile` (several quantiles of a number), `clustering` (no target) or `anomaly` "
            "(a target, if there is one, is used for the metrics only)."
        )
    )
    target: validations.ColumnName | None = pydantic.Field(
        default=None,
        description=(
            "The column to predict; for `multilabel` a text that lists labels; for `anomaly` true (1) where a row is "
            "anomalous. With `features` it is their target when left out."
        ),
    )
    targets: list[validations.ColumnName] | None = pydantic.Field(
        default=None,
        min_length=2,
        max_length=MAX_TARGETS,
        description="The 0/1 columns of `multilabel`, one per label.",
    )
    positive: positive_class.Requested | None = pydantic.Field(
        default=None,
        description=(
            "For a `classification` of two classes, the class that `precision`, `recall`, `f1`, `average_precision`, "
            "curves and the `threshold` are about. When left out, the class called 1, true or yes, in any case; else "
            "the one with fewer rows. It is kept with the model, for every evaluation of it."
        ),
    )
    separator: str | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=5,
        description="What separates the labels in `target`; default `,`. A row whose text is empty has no label.",
    )
    quantiles: list[Quantile] | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=20,
        description="The quantiles of the problem `quantile`, in increasing order; 0.05, 0.5 and 0.95 when left out.",
    )
    conformal: refinements.Conformal | None = pydantic.Field(
        default=None, description="Adds an interval to each prediction of `regression` or `quantile`."
    )
    recipe: Recipe | None = pydantic.Field(
        default=None,
        description="Feature engineering, fitted inside each fold; inferred from the data when left out, which drops "
        "free text unless there is nothing else.",
    )
    validation: validations.Validation = pydantic.Field(
        default=validations.CrossValidation(method="cross_validation"), description="How the model is validated."
    )
    class_weight: Literal["balanced"] | dict[Text, Weight] | None = pydantic.Field(
        default=None,
        max_length=MAX_LIST_LENGTH,
        description=(
            "How much each class counts in fitting, by label, or `balanced`; with estimators that lack this "
            "parameter each row is weighted by its class."
        ),
    )
    sample_weight: validations.ColumnName | None = pydantic.Field(
        default=None,
        description="The column with each row's weight, in fitting and in the metrics; it is not a feature.",
    )
    calibration: refinements.Calibration | None = pydantic.Field(
        default=None, description="Corrects a classifier's probabilities."
    )
    threshold: refinements.Threshold | None = pydantic.Field(
        default=None, description="The probability from which a binary classifier predicts the positive class."
    )
    early_stopping: refinements.EarlyStopping | None = pydantic.Field(
        default=None, description="Stops an estimator that learns in rounds once it no longer improves."
    )
    explain: refinements.Explain = pydantic.Field(
        default=refinements.Explain(), description="What the version's `details` contain besides the curves."
    )
    seed: validations.Seed = pydantic.Field(
        default=0, description="`random_state` of an estimator that has this parameter, when `params` leave it out."
    )

    @property
    def has_target(self) -> bool:
        """Whether the model learns a target; otherwise a target is used for the metrics at most."""
        return self.problem not in WITHOUT_TARGET

    @property
    def target_names(self) -> list[str]:
        """The columns that hold the true values."""
        return self.targets or ([self.target] if self.target else [])

    @property
    def requested_positive(self) -> tuple[positive_class.Requested | None, str]:
        """The positive class that the request names, if any, and the field that names it."""
        if self.positive is None and self.threshold is not None:
            return self.threshold.positive, "threshold/positive"
        return self.positive, "positive"

    @property
    def list_separator(self) -> str | None:
        """What separates the labels of a text that lists them; None for everything else."""
        return (self.separator or ",") if self.problem == "multilabel" and self.target else None

    @property
    def group(self) -> str | None:
        """The column whose equal values no split may separate."""
        return None if isinstance(self.validation, validations.TimeSeries) else self.validation.group

    @property
    def time(self) -> str | None:
        """The column that a time series is ordered by."""
        return self.validation.time if isinstance(self.validation, validations.TimeSeries) else None

    @property
    def gap(self) -> int:
        """How many rows of a time series are left out between the fitted and the held-out ones."""
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
                f"step {self.recipe.table_steps} of the recipe ({last.op}) needs whole tables, but a model predicts "
                "single rows; make a dataset with processing.fit and processing.apply, and train on that"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _has_the_target_of_its_problem(self) -> "Setup":
        # Which target a feature set has is known with its pin: `columns.complete` takes it from there.
        is_of_features = self.features is not None and not self.target_names
        if self.problem == "multilabel":
            if (self.target is None) == (self.targets is None) and not is_of_features:
                raise ValueError(
                    "multilabel needs either `targets`, 0/1 columns, or `target`, a text that lists labels"
                )
            if self.separator is not None and self.targets is not None:
                raise ValueError("`separator` goes with `target`; 0/1 columns need none")
        elif self.targets is not None or self.separator is not None:
            raise ValueError(f"`targets` and `separator` are for multilabel; {self.problem} takes one `target`")
        elif self.problem == "clustering" and self.target is not None:
            raise ValueError("clustering learns without a target; leave `target` out")
        elif self.problem not in WITHOUT_TARGET and self.target is None and not is_of_features:
            raise ValueError(f"{self.problem} needs a `target`, the column to predict")
        return self

    @pydantic.model_validator(mode="after")
    def _uses_each_column_once(self) -> "Setup":
        columns: list[str | None] = [*(self.targets or []), self.target, self.sample_weight, self.group]
        twice = column_names.list_repeated(name for name in columns if name is not None)
        if twice:
            raise ValueError(
                f"column {min(twice)!r} is named twice; a target, a weight and a group are different columns"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _has_only_what_its_problem_takes(self) -> "Setup":
        for field, problems in ONLY_FOR.items():
            if getattr(self, field) is not None and self.problem not in problems:
                raise ValueError(f"`{field}` is for {' or '.join(problems)}; leave it out for {self.problem}")
        stratified = None if isinstance(self.validation, validations.TimeSeries) else self.validation.stratified
        if stratified and not (self.problem in ("classification", "anomaly") and (self.target or self.features)):
            raise ValueError(f"`stratified` needs classes; leave it out for {self.problem}")
        return self

    @pydantic.model_validator(mode="after")
    def _has_one_positive_class(self) -> "Setup":
        of_threshold = None if self.threshold is None else self.threshold.positive
        if None not in (self.positive, of_threshold) and self.positive != of_threshold:
            raise ValueError(
                f"`positive` is {self.positive!r}, but the threshold's is {of_threshold!r}; a model has one positive "
                "class, so leave one of them out"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _has_sound_quantiles(self) -> "Setup":
        if self.quantiles is not None and sorted(set(self.quantiles)) != self.quantiles:
            raise ValueError(f"the quantiles must be in increasing order, but are {self.quantiles}")
        if self.problem == "quantile" and self.conformal is not None:
            if self.quantiles is not None:
                raise ValueError("with `conformal` the quantiles follow from its confidence; leave `quantiles` out")
            if self.conformal.method != "split":
                raise ValueError(f"conformal quantiles need the method `split`, not `{self.conformal.method}`")
        return self

    def require_suitable(self, estimator: Estimator) -> None:
        """Raise ValueError, saying what helps, for an estimator that can't be used with these settings."""
        spec = allow_list.specs()[estimator.name]
        if self.problem not in spec.problems:
            suitable = sorted(name for name, other in allow_list.specs().items() if self.problem in other.problems)
            raise ValueError(f"{estimator.name} doesn't support {self.problem}; these do: {', '.join(suitable)}")
        for member in estimator.all_members:
            if self.problem not in allow_list.specs()[member.name].problems:
                raise ValueError(f"{estimator.name}: its member {member.name} doesn't support {self.problem}")
        self._refuse_duplicate_settings(estimator)
        if self.time is not None or self.group is not None:
            random_splits.refuse(
                (estimator.name, estimator.params),
                members=[(member.name, member.params) for member in estimator.all_members],
                problem=self.problem,
                in_order=self.time is not None,
                stops=self.early_stopping is not None,
            )
        if self.early_stopping is not None and not spec.stops:
            raise ValueError(f"{estimator.name} can't stop early; leave `early_stopping` out")
        weighted = spec.weighted and all(allow_list.specs()[member.name].weighted for member in estimator.all_members)
        by_rows = self.class_weight is not None and "class_weight" not in spec.parameters
        if not weighted and (self.sample_weight is not None or by_rows):
            raise ValueError(f"{estimator.name} takes no weights; leave `sample_weight` and `class_weight` out")

    def _refuse_duplicate_settings(self, estimator: Estimator) -> None:
        spec = allow_list.specs()[estimator.name]
        fixed: dict[str, list[str]] = {
            "class_weight": ["class_weight"] if self.class_weight is not None else [],
            "early_stopping": STOPPING if self.early_stopping is not None else [],
            "quantiles": [spec.quantile or "", "loss", "objective"] if self.problem == "quantile" else [],
        }
        for field, parameters in fixed.items():
            for parameter in parameters:
                if parameter in estimator.params:
                    raise ValueError(
                        f"{estimator.name}: `{parameter}` follows from `{field}`; leave it out of its `params`"
                    )


class TrainingCommand(Setup):
    """A setup, and the name of the model that gets a new version."""

    name: contract.Name = pydantic.Field(description="The model that gets a new version.")

    @property
    def models(self) -> tuple[str, ...]:
        """The model that gets a new version."""
        return (self.name,)


# Fields that only some problems take.
ONLY_FOR: dict[str, tuple[Problem, ...]] = {
    "quantiles": ("quantile",),
    "conformal": ("regression", "quantile"),
    "class_weight": ("classification",),
    "calibration": ("classification",),
    "threshold": ("classification",),
    "positive": ("classification",),
    "early_stopping": ("classification", "multilabel", "regression", "quantile"),
}
