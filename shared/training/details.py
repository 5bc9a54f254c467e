"""What a model's version tells of itself besides its metrics: curves and tables as data, each of a bounded size."""

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

    label: Label = pydantic.Field(description="The class that counts as yes.")
    false_positive_rate: Numbers = pydantic.Field(description="Of the rows where no is true, the part called yes.")
    true_positive_rate: Numbers = pydantic.Field(description="Of the rows where yes is true, the part called yes.")
    thresholds: Numbers = pydantic.Field(description="From which score on yes is said; null where never.")


class PrecisionRecallCurve(contract.Result):
    """Precision and recall of one class or label against the rest."""

    label: Label = pydantic.Field(description="The class that counts as yes.")
    precision: Numbers = pydantic.Field(description="Of the rows called yes, the part where it is true.")
    recall: Numbers = pydantic.Field(description="Of the rows where yes is true, the part called yes.")
    thresholds: Numbers = pydantic.Field(description="From which score on yes is said; null where never.")


class CalibrationCurve(contract.Result):
    """How often a class comes true where it was predicted with some probability, in bins of equally many rows."""

    label: Label = pydantic.Field(description="The class whose probability it is.")
    mean_predicted: Numbers = pydantic.Field(description="The mean probability in each bin.")
    fraction_true: Numbers = pydantic.Field(description="The part of the bin's rows where it came true.")


class Confusion(contract.Result):
    """Which class was predicted for which; rare classes are taken together as the last one, without a label."""

    labels: list[Label | None] = pydantic.Field(description="The classes, null for all others.")
    counts: list[list[float]] = pydantic.Field(description="Rows by true class (outer) and predicted class (inner).")


class LabelCounts(contract.Result):
    """How one label of several was predicted."""

    label: Label = pydantic.Field(description="The label.")
    true_positive: float = pydantic.Field(description="Rows that have it and were given it.")
    false_positive: float = pydantic.Field(description="Rows that were given it without having it.")
    false_negative: float = pydantic.Field(description="Rows that have it and weren't given it.")
    true_negative: float = pydantic.Field(description="Rows that neither have it nor were given it.")


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
    by_prediction: list[ResidualBin] = pydantic.Field(description="Ten parts of the rows, by what was predicted.")


class QuantileCheck(contract.Result):
    """How well one quantile was predicted."""

    quantile: float = pydantic.Field(description="Which quantile, between 0 and 1.")
    share_below: float = pydantic.Field(description="The part of truths at or below the prediction; ideally the same.")
    mean_prediction: float = pydantic.Field(description="The mean of what was predicted.")


class Scores(contract.Result):
    """How scores without a truth are spread: anomaly scores."""

    probabilities: list[float] = pydantic.Field(description="Which quantiles follow.")
    quantiles: list[float] = pydantic.Field(description="Quantiles of the scores.")


class ClusterSize(contract.Result):
    """How many rows a cluster has."""

    cluster: int = pydantic.Field(description="The cluster's number; -1 is for rows of no cluster.")
    rows: int = pydantic.Field(description="How many rows it has.")


class ThresholdCurve(contract.Result):
    """A metric at some thresholds, on predictions out of fold."""

    thresholds: Numbers = pydantic.Field(description="Thresholds, growing.")
    scores: Numbers = pydantic.Field(description="The metric at each.")


class ChosenThreshold(contract.Result):
    """From which score on the model says yes."""

    value: float = pydantic.Field(description="From this score on it says yes.")
    metric: str | None = pydantic.Field(default=None, description="What it was chosen by; null when it was given.")
    score: float | None = pydantic.Field(default=None, description="The metric's value there.")
    curve: ThresholdCurve | None = pydantic.Field(
        default=None, description="The metric at other thresholds; null when it was given."
    )


class Importance(contract.Result):
    """How much worse the metric is with a column's values shuffled."""

    column: str = pydantic.Field(description="The raw column.")
    mean: float = pydantic.Field(description="The mean loss of the metric over the repeats.")
    std: float = pydantic.Field(description="Its standard deviation (population).")


class PermutationImportances(contract.Result):
    """The columns that a model needs, the most needed first."""

    metric: str = pydantic.Field(description="What the model was scored by, errors taken negative.")
    baseline: float = pydantic.Field(description="The score with nothing shuffled.")
    rows: int = pydantic.Field(description="How many held-out rows were used.")
    columns: list[Importance] = pydantic.Field(
        max_length=MAX_FEATURES, description="The columns, the most needed first."
    )


class Dependence(contract.Result):
    """The mean prediction while one column has each of some values in every row."""

    column: str = pydantic.Field(description="The raw column.")
    values: list[str | float | bool | None] = pydantic.Field(
        max_length=MAX_POINTS, description="The values tried; null is a missing one."
    )
    label: Label | None = pydantic.Field(default=None, description="The class whose probability it is.")
    means: Numbers = pydantic.Field(description="The mean prediction at each value.")


class FeatureShare(contract.Result):
    """One feature's shares in the predictions."""

    feature: str = pydantic.Field(description="The feature, as the recipe calls it.")
    mean_absolute: float = pydantic.Field(description="The mean of its shares' absolute values.")
    mean: float = pydantic.Field(description="The mean of its shares.")
    share_of_value: list[tuple[float | None, float]] = pydantic.Field(
        max_length=MAX_POINTS, description="Pairs of the feature's value and its share in a row's prediction."
    )


class ShapValues(contract.Result):
    """SHAP values of one class, or of the predicted number."""

    label: Label | None = pydantic.Field(default=None, description="The class that it is of; null for a number.")
    base: float = pydantic.Field(description="What is predicted of the average row.")
    features: list[FeatureShare] = pydantic.Field(
        max_length=MAX_FEATURES, description="The features, the strongest first."
    )


class Shap(contract.Result):
    """How each feature moves the predictions away from the average, the strongest first."""

    explainer: str = pydantic.Field(description="Which of SHAP's explainers was used.")
    output: str = pydantic.Field(description="What is explained: a probability, a decision or a number.")
    rows: int = pydantic.Field(description="How many rows were explained.")
    values: list[ShapValues] = pydantic.Field(
        max_length=MAX_CURVES, description="The shares by class, or of the number."
    )


class LearningPoint(contract.Result):
    """How well the model does when it learns from so many rows."""

    rows: int = pydantic.Field(description="How many rows were learned from.")
    train: list[float | None] = pydantic.Field(description="The metric on the rows learned from, a fold each.")
    test: list[float | None] = pydantic.Field(description="The metric on the held-out rows, a fold each.")


class LearningCurve(contract.Result):
    """The metric by how many rows are learned from."""

    metric: str = pydantic.Field(description="The metric; errors are taken negative.")
    points: list[LearningPoint] = pydantic.Field(description="The metric at growing numbers of rows.")


class Details(contract.Result):
    """What is known of a model besides its metrics; all of held-out rows where not said otherwise."""

    roc: list[RocCurve] | None = pydantic.Field(
        default=None, description="ROC curves: of the last of two classes, of the ten commonest of more, or of labels."
    )
    precision_recall: list[PrecisionRecallCurve] | None = pydantic.Field(
        default=None, description="Precision-recall curves of the same."
    )
    calibration_curve: list[CalibrationCurve] | None = pydantic.Field(
        default=None, description="Calibration curves of the same, where there are probabilities."
    )
    confusion: Confusion | None = pydantic.Field(default=None, description="Which class was predicted for which.")
    labels: list[LabelCounts] | None = pydantic.Field(
        default=None, description="Of multilabel: how each label was predicted."
    )
    residuals: Residuals | None = pydantic.Field(
        default=None, description="Of numbers: how truth and prediction differ."
    )
    quantiles: list[QuantileCheck] | None = pydantic.Field(
        default=None, description="Of quantiles: how well each was predicted."
    )
    scores: Scores | None = pydantic.Field(default=None, description="Of anomalies: how the scores are spread.")
    clusters: list[ClusterSize] | None = pydantic.Field(
        default=None, description="Of clusters: how many rows each has."
    )
    calibration: refinements.Calibration | None = pydantic.Field(
        default=None, description="How the probabilities were calibrated."
    )
    threshold: ChosenThreshold | None = pydantic.Field(
        default=None, description="From which score on the model says yes."
    )
    permutation_importance: PermutationImportances | None = pydantic.Field(
        default=None, description="Which columns the model needs."
    )
    partial_dependence: list[Dependence] | None = pydantic.Field(
        default=None, description="How the predictions follow single columns, on rows fitted on."
    )
    shap: Shap | None = pydantic.Field(
        default=None, description="Which features moved the predictions, on rows fitted on."
    )
    learning_curve: LearningCurve | None = pydantic.Field(default=None, description="Whether more rows would help.")
    left_out: list[str] = pydantic.Field(default=[], description="What was asked for and left out, each with why.")
