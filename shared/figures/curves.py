"""Curves and tables of predictions beside their truth, as data of a bounded size: of training and of evaluations."""

from typing import Annotated

import pydantic

from shared import contract, positive_class

MAX_POINTS = 200
MAX_LABELS = 30
MAX_CURVES = 10
MAX_FEATURES = 200
MAX_BYTES = 1 << 20

Label = positive_class.Label
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


class ClusteredRows(contract.Result):
    """The final model's clusters, measured on all rows that it was fitted on."""

    rows: int = pydantic.Field(description="How many rows; rows of no cluster are left out of the metrics.")
    metrics: dict[str, float] = pydantic.Field(
        description="`silhouette`, `davies_bouldin` and `calinski_harabasz` by scikit-learn's formulas, how many "
        "`clusters` there are, and the share of rows in none, `noise_fraction`."
    )
    undefined: dict[str, str] = pydantic.Field(
        default={}, description="Why metrics are undefined on these rows, by metric."
    )
    silhouette_rows: int | None = pydantic.Field(
        default=None,
        description="How many rows the silhouette was computed from, drawn at random where there are more in clusters "
        "than it can compare; null when it is undefined.",
    )
    silhouette_seed: int | None = pydantic.Field(
        default=None,
        description="The seed of that draw, scikit-learn's `random_state`; null when all rows were compared.",
    )
    clusters: list[ClusterSize] = pydantic.Field(
        max_length=MAX_POINTS, description="How many rows each cluster has, the largest 200 first; -1 is no cluster."
    )


class Curves(contract.Result):
    """The curves and tables that a problem has."""

    roc: list[RocCurve] | None = pydantic.Field(
        default=None,
        description="ROC curves: of the positive of two classes, of the ten most common of more, or of labels.",
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
        default=None, description="For clusters: how many rows each has, of those that were scored."
    )
    left_out: list[str] = pydantic.Field(
        default=[], description="What was requested and left out, each with the reason."
    )
