"""What a model version records besides its metrics: curves and tables as data, each of a bounded size."""

from typing import Annotated

import pydantic

from shared import contract
from shared.training import refinements

MAX_POINTS = 200
MAX_LABELS = 30
MAX_CURVES = 10
MAX_FEATURES = 200
MAX_BYTES = 1 << 20

Label = str | int | bool
Numbers = Annotated[list[float | None], pydantic.Field(max_length=MAX_POINTS)]


class RocCurve(contract.Result):
    """The receiver operating characteristic of one class or label against the rest."""

    label: Label = pydantic.Field(description="The class that counts as positive.")
    false_positive_rate: Numbers = pydantic.Field(description="The share of negative rows that are predicted positive.")
    true_positive_rate: Numbers = pydantic.Field(description="The share of positive rows that are predicted positive.")
    thresholds: Numbers = pydantic.Field(description="The score from which rows are predicted positive; null: none is.")


class PrecisionRecallCurve(contract.Result):
    """Precision and recall of one class or label against the rest."""

    label: Label = pydantic.Field(description="The class that counts as positive.")
    precision: Numbers = pydantic.Field(description="The share of rows predicted positive that are positive.")
    recall: Numbers = pydantic.Field(description="The share of positive rows that are predicted positive.")
    thresholds: Numbers = pydantic.Field(description="The score from which rows are predicted positive; null: none is.")


class CalibrationCurve(contract.Result):
    """How often a class is true where it was predicted with some probability, in bins of equally many rows."""

    label: Label = pydantic.Field(description="The class whose probability it is.")
    mean_predicted: Numbers = pydantic.Field(description="The mean probability in each bin.")
    fraction_true: Numbers = pydantic.Field(description="The share of the bin's rows that are of the class.")


class Confusion(contract.Result):
    """The confusion matrix; rare classes are counted together as the last one, without a label."""

    labels: list[Label | None] = pydantic.Field(description="The classes, null for all others.")
    counts: list[list[float]] = pydantic.Field(description="Rows by true class (outer) and predicted class (inner).")


class LabelCounts(contract.Result):
    """How one label of several was predicted."""

    label: Label = pydantic.Field(description="The label.")
    true_positive: float = pydantic.Field(description="Rows that have the label and were predicted to have it.")
    false_positive: float = pydantic.Field(description="Rows that were predicted to have the label and don't.")
    false_negative: float = pydantic.Field(description="Rows that have the label and weren't predicted to.")
    true_negative: float = pydantic.Field(description="Rows that neither have the label nor were predicted to.")


class ResidualBin(contract.Result):
    """Rows whose predictions are close to each other."""

    rows: int = pydantic.Field(description="How many rows.")
    mean_prediction: float = pydantic.Field(description="Their mean prediction.")
    mean_truth: float = pydantic.Field(description="Their mean truth.")
    mean_residual: float = pydantic.Field(description="The mean of truth minus prediction.")
    std_residual: float = pydantic.Field(description="The standard deviation of truth minus prediction (population).")


class Residuals(contract.Result):
    """How truth and prediction differ: truth minus prediction."""

    probabilities: list[float] = pydantic.Field(description="Which quantiles follow.")
    quantiles: list[float] = pydantic.Field(description="Quantiles of the residuals.")
    edges: list[float] = pydantic.Field(description="The edges of the histogram's bins, one more than bins.")
    counts: list[int] = pydantic.Field(description="How many residuals lie in each bin.")
    by_prediction: list[ResidualBin] = pydantic.Field(description="The rows in ten bins by their predictions.")


class QuantileCheck(contract.Result):
    """How well one quantile was predicted."""

    quantile: float = pydantic.Field(description="Which quantile, between 0 and 1.")
    share_below: float = pydantic.Field(
        description="The share of true values at or below the prediction; ideally equal to the quantile."
    )
    mean_prediction: float = pydantic.Field(description="The mean of the predictions.")


class Scores(contract.Result):
    """The distribution of scores that have no true value to be compared with: anomaly scores."""

    probabilities: list[float] = pydantic.Field(description="Which quantiles follow.")
    quantiles: list[float] = pydantic.Field(description="Quantiles of the scores.")


class ClusterSize(contract.Result):
    """How many rows a cluster has."""

    cluster: int = pydantic.Field(description="The cluster's number; -1 is for rows of no cluster.")
    rows: int = pydantic.Field(description="How many rows it has.")


class ThresholdCurve(contract.Result):
    """A metric at some thresholds, on out-of-fold predictions."""

    thresholds: Numbers = pydantic.Field(description="Thresholds in increasing order.")
    scores: Numbers = pydantic.Field(description="The metric at each.")


class ChosenThreshold(contract.Result):
    """The score from which the model predicts the positive class."""

    value: float = pydantic.Field(description="The threshold: rows with this score or more are predicted positive.")
    metric: str | None = pydantic.Field(
        default=None, description="The metric that it was chosen by; null for a fixed threshold."
    )
    score: float | None = pydantic.Field(default=None, description="The metric's value at the threshold.")
    curve: ThresholdCurve | None = pydantic.Field(
        default=None, description="The metric at other thresholds; null for a fixed threshold."
    )


class Importance(contract.Result):
    """How much worse the metric is with a column's values shuffled."""

    column: str = pydantic.Field(description="The raw column.")
    mean: float = pydantic.Field(description="The mean loss of the metric over the repeats.")
    std: float = pydantic.Field(description="Its standard deviation (population).")


class PermutationImportances(contract.Result):
    """How much a model depends on each column, the most important first."""

    metric: str = pydantic.Field(description="The metric that the model was scored by; errors are negated.")
    baseline: float = pydantic.Field(description="The score with nothing shuffled.")
    rows: int = pydantic.Field(description="How many held-out rows were used.")
    columns: list[Importance] = pydantic.Field(
        max_length=MAX_FEATURES, description="The columns, the most important first."
    )


class Dependence(contract.Result):
    """The mean prediction while one column has each of some values in every row."""

    column: str = pydantic.Field(description="The raw column.")
    values: list[str | float | bool | None] = pydantic.Field(
        max_length=MAX_POINTS, description="The values tried; null stands for a missing value."
    )
    label: Label | None = pydantic.Field(default=None, description="The class whose probability it is.")
    means: Numbers = pydantic.Field(description="The mean prediction at each value.")


class FeatureShare(contract.Result):
    """One feature's SHAP values."""

    feature: str = pydantic.Field(description="The feature, as the recipe names it.")
    mean_absolute: float = pydantic.Field(description="The mean of the absolute SHAP values.")
    mean: float = pydantic.Field(description="The mean of the SHAP values.")
    share_of_value: list[tuple[float | None, float]] = pydantic.Field(
        max_length=MAX_POINTS, description="Pairs of the feature's value and its SHAP value in a row's prediction."
    )


class ShapValues(contract.Result):
    """SHAP values of one class, or of the predicted number."""

    label: Label | None = pydantic.Field(default=None, description="The class; null for a number.")
    base: float = pydantic.Field(description="The base value: the prediction for the average row.")
    features: list[FeatureShare] = pydantic.Field(
        max_length=MAX_FEATURES, description="The features, the strongest first."
    )


class Shap(contract.Result):
    """How each feature moves the predictions away from the average, the strongest first."""

    explainer: str = pydantic.Field(description="Which of SHAP's explainers was used.")
    output: str = pydantic.Field(description="What is explained: a probability, a decision or a number.")
    rows: int = pydantic.Field(description="How many rows were explained.")
    values: list[ShapValues] = pydantic.Field(
        max_length=MAX_CURVES, description="The SHAP values by class, or of the number."
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


class Details(contract.Result):
    """What is known of a model besides its metrics; computed on held-out rows unless stated otherwise."""

    roc: list[RocCurve] | None = pydantic.Field(
        default=None,
        description="ROC curves: of the second of two classes, of the ten most common of more, or of labels.",
    )
    precision_recall: list[PrecisionRecallCurve] | None = pydantic.Field(
        default=None, description="Precision-recall curves of the same."
    )
    calibration_curve: list[CalibrationCurve] | None = pydantic.Field(
        default=None, description="Calibration curves of the same, where there are probabilities."
    )
    confusion: Confusion | None = pydantic.Field(default=None, description="The confusion matrix.")
    labels: list[LabelCounts] | None = pydantic.Field(
        default=None, description="For multilabel: how each label was predicted."
    )
    residuals: Residuals | None = pydantic.Field(
        default=None, description="For numbers: how truth and prediction differ."
    )
    quantiles: list[QuantileCheck] | None = pydantic.Field(
        default=None, description="For quantiles: how well each was predicted."
    )
    scores: Scores | None = pydantic.Field(default=None, description="For anomalies: the distribution of the scores.")
    clusters: list[ClusterSize] | None = pydantic.Field(
        default=None, description="For clusters: how many rows each has."
    )
    calibration: refinements.Calibration | None = pydantic.Field(
        default=None, description="How the probabilities were calibrated."
    )
    threshold: ChosenThreshold | None = pydantic.Field(
        default=None, description="The score from which the model predicts the positive class."
    )
    permutation_importance: PermutationImportances | None = pydantic.Field(
        default=None, description="How much the model depends on each column."
    )
    partial_dependence: list[Dependence] | None = pydantic.Field(
        default=None, description="How the predictions depend on single columns, on training rows."
    )
    shap: Shap | None = pydantic.Field(
        default=None, description="Which features moved the predictions, on training rows."
    )
    learning_curve: LearningCurve | None = pydantic.Field(default=None, description="Whether more rows would help.")
    left_out: list[str] = pydantic.Field(
        default=[], description="What was requested and left out, each with the reason."
    )
