"""What a model version records besides its metrics: curves, tables and explanations as data, each of a bounded size."""

import pydantic

from shared import contract
from shared.figures import curves, importances
from shared.training import imports, refinements


class ThresholdCurve(contract.Result):
    """A metric at some thresholds, on out-of-fold predictions."""

    thresholds: curves.Numbers = pydantic.Field(description="Thresholds in increasing order.")
    scores: curves.Numbers = pydantic.Field(description="The metric at each.")


class ChosenThreshold(contract.Result):
    """The score from which the model predicts the positive class."""

    positive: curves.Label | None = pydantic.Field(
        default=None, description="The positive class; in models of earlier releases it is the last in sorted order."
    )
    value: float = pydantic.Field(description="The threshold: rows with this score or more are predicted positive.")
    metric: str | None = pydantic.Field(
        default=None, description="The metric that it was chosen by; null for a fixed threshold."
    )
    score: float | None = pydantic.Field(default=None, description="The metric's value at the threshold.")
    curve: ThresholdCurve | None = pydantic.Field(
        default=None, description="The metric at other thresholds; null for a fixed threshold."
    )


class Dependence(contract.Result):
    """The mean prediction while one column has each of some values in every row."""

    column: str = pydantic.Field(description="The raw column.")
    values: list[str | int | float | bool | None] = pydantic.Field(
        max_length=curves.MAX_POINTS, description="The values tried; null stands for a missing value."
    )
    label: curves.Label | None = pydantic.Field(default=None, description="The class whose probability it is.")
    means: curves.Numbers = pydantic.Field(description="The mean prediction at each value.")


class FeatureShare(contract.Result):
    """One feature's SHAP values."""

    feature: str = pydantic.Field(description="The feature, as the recipe names it.")
    mean_absolute: float = pydantic.Field(description="The mean of the absolute SHAP values.")
    mean: float = pydantic.Field(description="The mean of the SHAP values.")
    share_of_value: list[tuple[float | None, float]] = pydantic.Field(
        max_length=curves.MAX_POINTS,
        description="Pairs of the feature's value and its SHAP value in a row's prediction.",
    )


class ShapValues(contract.Result):
    """SHAP values of one class, or of the predicted number."""

    label: curves.Label | None = pydantic.Field(default=None, description="The class; null for a number.")
    base: float = pydantic.Field(description="The base value: the prediction for the average row.")
    features: list[FeatureShare] = pydantic.Field(
        max_length=curves.MAX_FEATURES, description="The features, the strongest first."
    )


class Shap(contract.Result):
    """How each feature moves the predictions away from the average, the strongest first."""

    explainer: str = pydantic.Field(description="Which of SHAP's explainers was used.")
    output: str = pydantic.Field(description="What is explained: a probability, a decision or a number.")
    rows: int = pydantic.Field(description="How many rows were explained.")
    values: list[ShapValues] = pydantic.Field(
        max_length=curves.MAX_CURVES, description="The SHAP values by class, or of the number."
    )


class LearningPoint(contract.Result):
    """How well the model does when it learns from a given number of rows."""

    rows: int = pydantic.Field(description="How many rows were learned from.")
    train: list[float | None] = pydantic.Field(description="The metric on the rows learned from, one value per fold.")
    test: list[float | None] = pydantic.Field(description="The metric on the held-out rows, one value per fold.")


class LearningCurve(contract.Result):
    """The metric by the number of rows that are learned from."""

    metric: str = pydantic.Field(description="The metric; errors are negated.")
    points: list[LearningPoint] = pydantic.Field(description="The metric at increasing numbers of rows.")


class Details(curves.Curves):
    """What is known of a model besides its metrics; computed on held-out rows unless stated otherwise."""

    all_rows: curves.ClusteredRows | None = pydantic.Field(
        default=None,
        description="For clusters: the final model on all rows, while `clusters` and the metrics are of held-out rows.",
    )
    imported: imports.Origin | None = pydantic.Field(
        default=None,
        description="Of a version that was made elsewhere: where it came from. Its metrics are those that were given.",
    )
    calibration: refinements.Calibration | None = pydantic.Field(
        default=None, description="How the probabilities were calibrated."
    )
    threshold: ChosenThreshold | None = pydantic.Field(
        default=None, description="The score from which the model predicts the positive class."
    )
    permutation_importance: importances.PermutationImportances | None = pydantic.Field(
        default=None, description="How much the model depends on each column."
    )
    partial_dependence: list[Dependence] | None = pydantic.Field(
        default=None, description="How the predictions depend on single columns, on training rows."
    )
    shap: Shap | None = pydantic.Field(
        default=None, description="Which features moved the predictions, on training rows."
    )
    learning_curve: LearningCurve | None = pydantic.Field(default=None, description="Whether more rows would help.")
