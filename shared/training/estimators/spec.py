"""What a request may set of an estimator: its parameters and their limits, as plain data.

Left out of every estimator: parameters that take code or another estimator, those that the worker decides (threads,
verbosity), and those that scikit-learn has deprecated.
"""

import dataclasses
from typing import Literal

Problem = Literal["classification", "multilabel", "regression", "quantile", "clustering", "anomaly"]
Limits = dict[str, tuple[float, float]]
Choices = dict[str, tuple[str, ...]]
Members = Literal["voting", "stacking"]

CLASSIFICATION: tuple[Problem, ...] = ("classification", "multilabel")
ONE_LABEL: tuple[Problem, ...] = ("classification",)
REGRESSION: tuple[Problem, ...] = ("regression",)
QUANTILES: tuple[Problem, ...] = ("regression", "quantile")
CLUSTERING: tuple[Problem, ...] = ("clustering",)
ANOMALY: tuple[Problem, ...] = ("anomaly",)
WITHOUT_TARGET: tuple[Problem, ...] = ("clustering", "anomaly")


@dataclasses.dataclass(frozen=True)
class EstimatorSpec:
    """One estimator of the allow-list."""

    path: str  # The module that defines it.
    problems: tuple[Problem, ...]
    parameters: frozenset[str]
    limits: Limits  # Inclusive bounds, of the number itself or of each number in a list.
    choices: Choices  # The only texts allowed, where scikit-learn allows more than is safe.
    max_rows: int | None  # Set where time or memory grows with the square of the rows.
    threads: bool  # Whether fitting is faster with `n_jobs` threads and gives the same bits with any number of them.
    weighted: bool  # Whether `fit` takes a weight for each row.
    quantile: str | None  # The parameter that sets which quantile is learned, where the loss is `quantile`.
    members: Members | None  # How it combines the predictions of other estimators.

    @property
    def stops(self) -> bool:
        """Whether it learns in rounds and can stop early by rows that it holds out."""
        return {"n_iter_no_change", "validation_fraction"} <= self.parameters


STOPPING = ["early_stopping", "n_iter_no_change", "validation_fraction"]
# Their fit accepts the rows to stop early by (`X_val`); the other estimators that stop hold rows out at random.
ACCEPTS_VALIDATION_ROWS = frozenset(
    {"HistGradientBoostingClassifier", "HistGradientBoostingRegressor", "LGBMClassifier", "LGBMRegressor"}
)

# What the same parameter name means for every estimator that has it.
LIMITS: Limits = {
    "C": (1e-12, 1e12),
    "batch_size": (1, 10_000_000),
    "cv": (2, 20),
    "degree": (0, 10),
    "hidden_layer_sizes": (1, 2048),
    "leaf_size": (1, 10_000),
    "max_bins": (2, 255),
    "max_depth": (1, 1_000),
    "max_fun": (1, 1_000_000),
    "max_iter": (1, 100_000),
    "max_leaf_nodes": (2, 100_000),
    "max_no_improvement": (1, 100_000),
    "max_subpopulation": (1, 100_000),
    "max_trials": (1, 10_000),
    "n_clusters": (1, 10_000),
    "n_components": (1, 10_000),
    "n_estimators": (1, 10_000),
    "n_init": (1, 100),
    "n_iter_no_change": (1, 100_000),
    "n_neighbors": (1, 10_000),
    "n_nonzero_coefs": (1, 10_000),
    "n_subsamples": (1, 10_000),
    "random_state": (0, 2**32 - 1),
}
ANY_NUMBER = (-(2**63), 2**63 - 1)  # What a machine word holds; scikit-learn itself has closer bounds.
BOOSTING_ROUNDS: Limits = {"max_iter": (1, 10_000)}
# -1 means no limit to LightGBM; `num_leaves` bounds its trees.
LIGHTGBM_TREES: Limits = {"max_depth": (-1, 1_000), "max_bin": (2, 255), "num_leaves": (2, 10_000)}
LIGHTGBM_LOSSES = ("fair", "gamma", "huber", "mape", "poisson", "quantile", "regression", "regression_l1", "tweedie")
# -1 means "until it converges" to scikit-learn, which never happens when the tolerance is too small.
KERNEL_ITERATIONS: Limits = {"max_iter": (-1, 10_000_000), "tol": (1e-6, 1e3), "C": (1e-12, 1e6)}
LINEAR_SVM_ITERATIONS: Limits = {"max_iter": (1, 1_000_000)}
# Each component of a mixture holds a matrix of features by features.
MIXTURE_COMPONENTS: Limits = {"n_components": (1, 100)}
SHORT_PATHS: Limits = {"alphas": (0, 1_000)}
QUADRATIC_ROWS = 50_000
NEIGHBOURHOOD_ROWS = 20_000  # All close pairs are in memory at once.
MATRIX_ROWS = 10_000  # A matrix of rows by rows is in memory.

MAX_LIST_LENGTH = 1_000

KERNELS: Choices = {"kernel": ("linear", "poly", "rbf", "sigmoid")}
NEIGHBOUR_METRICS: Choices = {"metric": ("chebyshev", "cityblock", "cosine", "euclidean", "manhattan", "minkowski")}
PAIRWISE_KERNELS: Choices = {"kernel": ("cosine", "laplacian", "linear", "poly", "rbf", "sigmoid")}
LIGHTGBM_KINDS: Choices = {"boosting_type": ("dart", "gbdt", "rf")}
LINEAR_PROGRAMS: Choices = {"solver": ("highs", "highs-ds", "highs-ipm")}

GROWTH = (
    "ccp_alpha max_depth max_features max_leaf_nodes min_impurity_decrease min_samples_leaf "
    "min_samples_split min_weight_fraction_leaf random_state"
)
TREE = f"{GROWTH} criterion"
FOREST = f"{TREE} bootstrap max_samples n_estimators"
BOOSTING = f"{GROWTH} learning_rate loss n_estimators n_iter_no_change subsample tol validation_fraction"
HISTOGRAM = (
    "early_stopping l2_regularization learning_rate loss max_bins max_depth max_features max_iter max_leaf_nodes "
    "min_samples_leaf n_iter_no_change random_state tol validation_fraction"
)
SGD = (
    "alpha average early_stopping epsilon eta0 fit_intercept l1_ratio learning_rate loss max_iter n_iter_no_change "
    "penalty power_t random_state shuffle tol validation_fraction"
)
PERCEPTRON = (
    "activation alpha batch_size beta_1 beta_2 early_stopping epsilon hidden_layer_sizes learning_rate "
    "learning_rate_init max_fun max_iter momentum n_iter_no_change nesterovs_momentum power_t random_state shuffle "
    "solver tol validation_fraction"
)
KERNEL_SVM = "C coef0 degree gamma kernel max_iter shrinking tol"
LINEAR_SVM = "C dual fit_intercept intercept_scaling loss max_iter random_state tol"
NEIGHBOURS = "algorithm leaf_size metric n_neighbors p weights"
RIDGE = "alpha fit_intercept max_iter positive random_state solver tol"
LASSO = "alpha fit_intercept max_iter positive random_state selection tol"
GENERALIZED = "alpha fit_intercept max_iter solver tol"
BAGGING = "bootstrap bootstrap_features max_features max_samples n_estimators random_state"
PATHS = "alphas cv eps fit_intercept max_iter positive random_state selection tol"
NU_SVM = "coef0 degree gamma kernel max_iter nu shrinking tol"
LIGHTGBM = (
    "boosting_type colsample_bytree early_stopping learning_rate max_bin max_depth min_child_samples min_child_weight "
    "min_split_gain n_estimators n_iter_no_change num_leaves random_state reg_alpha reg_lambda subsample "
    "subsample_for_bin subsample_freq tol validation_fraction"
)
MIXTURE = "covariance_type init_params max_iter n_components n_init random_state reg_covar tol"


def spec(
    path: str,
    problems: tuple[Problem, ...],
    parameters: str,
    *,
    package: str = "sklearn",
    limits: Limits | None = None,
    choices: Choices | None = None,
    max_rows: int | None = None,
    threads: bool = False,
    weighted: bool = True,
    quantile: str | None = None,
    members: Members | None = None,
) -> EstimatorSpec:
    """Describe an estimator; `parameters` are the names of those that may be given, separated by blanks."""
    names = frozenset(parameters.split())
    return EstimatorSpec(
        path=f"{package}.{path}",
        problems=problems,
        parameters=names,
        limits={name: bound for name, bound in (LIMITS | (limits or {})).items() if name in names},
        choices=choices or {},
        max_rows=max_rows,
        threads=threads,
        weighted=weighted,
        quantile=quantile,
        members=members,
    )
