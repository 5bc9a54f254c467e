"""What a request may add to a plain fit: calibration, a threshold, intervals, early stopping, explanations."""

from typing import Literal

import pydantic

from shared import contract, positive_class
from shared.figures import importances
from shared.training import validations

ThresholdMetric = Literal["accuracy", "balanced_accuracy", "f1", "f2", "matthews_corrcoef"]
MAX_PLOTTED_COLUMNS = 20


class Calibration(contract.Document):
    """Calibrate a classifier's probabilities by out-of-fold predictions.

    The folds follow the validation: shuffled, by group, or by time, where the first rows get no prediction.
    """

    method: Literal["sigmoid", "isotonic"] = pydantic.Field(
        default="sigmoid", description="`sigmoid` for little data; `isotonic` from about 1,000 rows per class."
    )
    folds: int = pydantic.Field(default=5, ge=2, le=10, description="How many folds the predictions come from.")


class Costs(contract.Document):
    """What each outcome costs, in any unit; a gain is negative."""

    false_positive: float = pydantic.Field(ge=-1e9, le=1e9, description="Predicting positive for a negative row.")
    false_negative: float = pydantic.Field(ge=-1e9, le=1e9, description="Predicting negative for a positive row.")
    true_positive: float = pydantic.Field(
        default=0.0, ge=-1e9, le=1e9, description="Predicting positive for a positive row."
    )
    true_negative: float = pydantic.Field(
        default=0.0, ge=-1e9, le=1e9, description="Predicting negative for a negative row."
    )


class Threshold(contract.Document):
    """The probability from which a binary classifier predicts the positive class.

    Give one of `value`, `maximise` and `costs`. A classifier without probabilities is cut on the scale of its decision
    function instead, where more means positive. The folds follow the validation, as those of the calibration do.
    """

    positive: positive_class.Requested | None = pydantic.Field(
        default=None,
        description="The positive class: the same as `positive` beside the threshold, where that is given.",
    )

    value: float | None = pydantic.Field(default=None, ge=-1e9, le=1e9, description="A fixed threshold.")
    maximise: ThresholdMetric | None = pydantic.Field(
        default=None, description="Choose the threshold that is best by this metric on out-of-fold predictions."
    )
    costs: Costs | None = pydantic.Field(
        default=None, description="Choose the threshold that costs least on out-of-fold predictions."
    )
    folds: int = pydantic.Field(default=5, ge=2, le=10, description="How many folds the predictions come from.")

    @pydantic.model_validator(mode="after")
    def _has_one_rule(self) -> "Threshold":
        rules = [name for name in ("value", "maximise", "costs") if getattr(self, name) is not None]
        if len(rules) != 1:
            raise ValueError(f"give one of `value`, `maximise` and `costs`; {len(rules)} were given")
        return self


class Conformal(contract.Document):
    """An interval around each prediction that covers the truth with a given confidence, by conformal prediction.

    `split` holds out some of the rows to measure the errors on and fits on the rest. `cross` measures them out of fold
    and fits on all rows (MAPIE's method `base`). In a time series the errors are those on later rows, with a group
    those on other groups. The predictions get `prediction_lower` and `prediction_upper`. For the problem `quantile` the
    interval between the outer quantiles is widened or narrowed (`split` only).
    """

    method: Literal["split", "cross"] = pydantic.Field(default="split", description="Where the errors are measured.")
    confidence: float = pydantic.Field(
        default=0.9, ge=0.5, lt=1, description="The share of new rows whose truth the interval should cover."
    )
    fraction: float = pydantic.Field(default=0.2, gt=0, lt=1, description="The share of rows that `split` holds out.")
    folds: int = pydantic.Field(default=5, ge=2, le=20, description="The folds of `cross`.")
    seed: validations.Seed = pydantic.Field(default=0, description="Seeds the shuffling.")


class EarlyStopping(contract.Document):
    """Stop an estimator that learns in rounds once its score on held-out rows no longer improves.

    The rows are drawn at random; where the validation is a time series they are the latest ones, and with a group they
    are whole groups: only histogram boosting and LightGBM support that.
    """

    rounds: int = pydantic.Field(default=10, ge=1, le=1000, description="Rounds without improvement before it stops.")
    fraction: float = pydantic.Field(default=0.1, gt=0, lt=1, description="The share of rows that is held out.")
    tolerance: float | None = pydantic.Field(
        default=None, ge=0, le=1e6, description="The least improvement that counts; the estimator's own when left out."
    )


class PartialDependence(contract.Document):
    """What the model predicts on average while one column has a given value in every row."""

    columns: list[str] = pydantic.Field(
        min_length=1, max_length=MAX_PLOTTED_COLUMNS, description="The raw columns: numbers, booleans or text."
    )
    points: int = pydantic.Field(default=20, ge=2, le=50, description="How many values of a number are tried.")
    max_rows: int = pydantic.Field(default=1_000, ge=10, le=5_000, description="The most rows, drawn by the seed.")

    @pydantic.field_validator("columns")
    @classmethod
    def _are_names(cls, columns: list[str]) -> list[str]:
        if len(set(columns)) < len(columns) or any(not 1 <= len(name) <= 1000 for name in columns):
            raise ValueError("the columns must be different names of 1 to 1,000 characters")
        return columns


class Shap(contract.Document):
    """Each feature's share in the predictions, by SHAP; needs the worker's extra `shap`."""

    rows: int = pydantic.Field(default=200, ge=1, le=2_000, description="How many rows are explained, by the seed.")
    background: int = pydantic.Field(default=100, ge=1, le=500, description="How many rows make up the average.")


class LearningCurve(contract.Document):
    """How well the model does when it learns from fewer rows, on the folds of the validation."""

    fractions: list[float] = pydantic.Field(
        default=[0.1, 0.325, 0.55, 0.775, 1.0],
        min_length=1,
        max_length=10,
        description="The fractions of each fold's training rows that are learned from, each above 0 and at most 1.",
    )
    max_folds: int = pydantic.Field(default=3, ge=1, le=10, description="The most folds that are fitted again.")

    @pydantic.field_validator("fractions")
    @classmethod
    def _are_fractions(cls, fractions: list[float]) -> list[float]:
        if any(not 0 < fraction <= 1 for fraction in fractions) or sorted(set(fractions)) != fractions:
            raise ValueError("the fractions must be above 0, at most 1, and in increasing order")
        return fractions


class Explain(contract.Document):
    """What the result reports about the model besides its metrics; the curves that apply are always included."""

    permutation_importance: importances.PermutationImportance | None = pydantic.Field(
        default=None, description="How much the model depends on each column."
    )
    partial_dependence: PartialDependence | None = pydantic.Field(
        default=None, description="How the predictions depend on single columns."
    )
    shap: Shap | None = pydantic.Field(default=None, description="Which features moved the predictions, by SHAP.")
    learning_curve: LearningCurve | None = pydantic.Field(default=None, description="Whether more rows would help.")
