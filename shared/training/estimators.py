"""The allow-list: which estimators may be trained, with which parameters and within which limits.

Plain data, because the API checks a job with it before accepting it and has no scikit-learn. The values' types are
checked as far as their parameter's name tells (`parameters`), the rest by scikit-learn itself in the worker. Left out
of every estimator: what takes code or another estimator, what the worker decides (threads, verbosity), and what
scikit-learn has deprecated.
"""

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable, Mapping
from typing import Literal

from shared import plugins
from shared.training import parameters

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
    """What may be asked of one estimator."""

    path: str  # The module that has it.
    problems: tuple[Problem, ...]
    parameters: frozenset[str]
    limits: Limits  # Inclusive bounds, of the number itself or of each number in a list.
    choices: Choices  # The only texts taken, where scikit-learn takes more than is sound.
    max_rows: int | None  # Where time or memory grows with the square of the rows.
    threads: bool  # Whether fitting gains from `n_jobs` threads and gives the same bits with any number of them.
    weighted: bool  # Whether `fit` takes a weight for each row.
    quantile: str | None  # The parameter that says which quantile is learned, where its loss is `quantile`.
    members: Members | None  # How it puts the predictions of other estimators together.

    @property
    def stops(self) -> bool:
        """Whether it learns in rounds and can stop once a part of the rows that it holds out gets no better."""
        return {"n_iter_no_change", "validation_fraction"} <= self.parameters


STOPPING = ["early_stopping", "n_iter_no_change", "validation_fraction"]
# Their fit can be told which rows to stop by (`X_val`); the others that stop hold rows out at random.
STOPS_BY_GIVEN_ROWS = frozenset(
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
ANY_NUMBER = (-(2**63), 2**63 - 1)  # What a machine word holds; scikit-learn itself knows closer bounds.
BOOSTING_ROUNDS: Limits = {"max_iter": (1, 10_000)}
# LightGBM's -1 is no limit; `num_leaves` bounds its trees.
LIGHTGBM_TREES: Limits = {"max_depth": (-1, 1_000), "max_bin": (2, 255), "num_leaves": (2, 10_000)}
LIGHTGBM_LOSSES = ("fair", "gamma", "huber", "mape", "poisson", "quantile", "regression", "regression_l1", "tweedie")
# -1 is scikit-learn's "until it converges", which it never does when it has to come too close.
KERNEL_ITERATIONS: Limits = {"max_iter": (-1, 10_000_000), "tol": (1e-6, 1e3), "C": (1e-12, 1e6)}
LINEAR_SVM_ITERATIONS: Limits = {"max_iter": (1, 1_000_000)}
# Each component of a mixture holds a matrix of features by features.
MIXTURE_COMPONENTS: Limits = {"n_components": (1, 100)}
SHORT_PATHS: Limits = {"alphas": (0, 1_000)}
QUADRATIC_ROWS = 50_000
NEIGHBOURHOOD_ROWS = 20_000  # All pairs that are close are held at once.
MATRIX_ROWS = 10_000  # A matrix of rows by rows is held.

MAX_LIST_LENGTH = 1_000
MAX_LAYERS = 8

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


def _spec(
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


ALLOWED: dict[str, EstimatorSpec] = {
    "AdaBoostClassifier": _spec("ensemble", CLASSIFICATION, "learning_rate n_estimators random_state"),
    "AdaBoostRegressor": _spec("ensemble", REGRESSION, "learning_rate loss n_estimators random_state"),
    "AffinityPropagation": _spec(
        "cluster",
        CLUSTERING,
        "convergence_iter damping max_iter preference random_state",
        max_rows=MATRIX_ROWS // 2,
        weighted=False,
    ),
    "ARDRegression": _spec(
        "linear_model",
        REGRESSION,
        "alpha_1 alpha_2 fit_intercept lambda_1 lambda_2 max_iter threshold_lambda tol",
        weighted=False,
    ),
    "BaggingClassifier": _spec("ensemble", CLASSIFICATION, BAGGING),
    "BaggingRegressor": _spec("ensemble", REGRESSION, BAGGING),
    "BayesianGaussianMixture": _spec(
        "mixture",
        CLUSTERING,
        f"{MIXTURE} degrees_of_freedom_prior mean_precision_prior weight_concentration_prior "
        "weight_concentration_prior_type",
        limits=MIXTURE_COMPONENTS,
        weighted=False,
    ),
    "BayesianRidge": _spec(
        "linear_model",
        REGRESSION,
        "alpha_1 alpha_2 alpha_init fit_intercept lambda_1 lambda_2 lambda_init max_iter tol",
    ),
    "BernoulliNB": _spec("naive_bayes", CLASSIFICATION, "alpha binarize class_prior fit_prior force_alpha"),
    "ComplementNB": _spec("naive_bayes", CLASSIFICATION, "alpha class_prior fit_prior force_alpha norm"),
    "DBSCAN": _spec(
        "cluster",
        CLUSTERING,
        "algorithm eps leaf_size metric min_samples p",
        choices=NEIGHBOUR_METRICS,
        max_rows=NEIGHBOURHOOD_ROWS,
    ),
    "DecisionTreeClassifier": _spec("tree", CLASSIFICATION, f"{TREE} class_weight splitter"),
    "DecisionTreeRegressor": _spec("tree", REGRESSION, f"{TREE} splitter"),
    "DummyClassifier": _spec("dummy", CLASSIFICATION, "constant random_state strategy"),
    "DummyRegressor": _spec("dummy", REGRESSION, "constant quantile strategy"),
    "ElasticNet": _spec("linear_model", REGRESSION, f"{LASSO} l1_ratio"),
    "ElasticNetCV": _spec("linear_model", REGRESSION, f"{PATHS} l1_ratio", limits=SHORT_PATHS),
    "EllipticEnvelope": _spec(
        "covariance", ANOMALY, "assume_centered contamination random_state support_fraction", weighted=False
    ),
    "ExtraTreeClassifier": _spec("tree", CLASSIFICATION, f"{TREE} class_weight splitter"),
    "ExtraTreeRegressor": _spec("tree", REGRESSION, f"{TREE} splitter"),
    "ExtraTreesClassifier": _spec("ensemble", CLASSIFICATION, f"{FOREST} class_weight", threads=True),
    "ExtraTreesRegressor": _spec("ensemble", REGRESSION, FOREST, threads=True),
    "GammaRegressor": _spec("linear_model", REGRESSION, GENERALIZED),
    "GaussianMixture": _spec("mixture", CLUSTERING, MIXTURE, limits=MIXTURE_COMPONENTS, weighted=False),
    "GaussianNB": _spec("naive_bayes", CLASSIFICATION, "priors var_smoothing"),
    "GradientBoostingClassifier": _spec("ensemble", CLASSIFICATION, BOOSTING),
    "GradientBoostingRegressor": _spec("ensemble", QUANTILES, f"{BOOSTING} alpha", quantile="alpha"),
    "HistGradientBoostingClassifier": _spec(
        "ensemble", CLASSIFICATION, f"{HISTOGRAM} class_weight", limits=BOOSTING_ROUNDS
    ),
    "HistGradientBoostingRegressor": _spec(
        "ensemble", QUANTILES, f"{HISTOGRAM} quantile", limits=BOOSTING_ROUNDS, quantile="quantile"
    ),
    "HuberRegressor": _spec("linear_model", REGRESSION, "alpha epsilon fit_intercept max_iter tol"),
    "IsolationForest": _spec(
        "ensemble", ANOMALY, "bootstrap contamination max_features max_samples n_estimators random_state"
    ),
    "KernelRidge": _spec(
        "kernel_ridge",
        REGRESSION,
        "alpha coef0 degree gamma kernel",
        choices=PAIRWISE_KERNELS,
        max_rows=MATRIX_ROWS,
    ),
    "KMeans": _spec("cluster", CLUSTERING, "algorithm max_iter n_clusters n_init random_state tol"),
    "KNeighborsClassifier": _spec("neighbors", CLASSIFICATION, NEIGHBOURS, choices=NEIGHBOUR_METRICS, weighted=False),
    "KNeighborsRegressor": _spec("neighbors", REGRESSION, NEIGHBOURS, choices=NEIGHBOUR_METRICS, weighted=False),
    "Lars": _spec("linear_model", REGRESSION, "eps fit_intercept jitter n_nonzero_coefs random_state", weighted=False),
    "Lasso": _spec("linear_model", REGRESSION, LASSO),
    "LassoCV": _spec("linear_model", REGRESSION, PATHS, limits=SHORT_PATHS),
    "LassoLars": _spec(
        "linear_model", REGRESSION, "alpha eps fit_intercept jitter max_iter positive random_state", weighted=False
    ),
    "LassoLarsIC": _spec(
        "linear_model", REGRESSION, "criterion eps fit_intercept max_iter noise_variance positive", weighted=False
    ),
    "LGBMClassifier": _spec(
        "light_gbm",
        CLASSIFICATION,
        f"{LIGHTGBM} class_weight",
        package="shared.ml",
        limits=LIGHTGBM_TREES,
        choices=LIGHTGBM_KINDS,
        threads=True,
    ),
    "LGBMRegressor": _spec(
        "light_gbm",
        QUANTILES,
        f"{LIGHTGBM} alpha objective",
        package="shared.ml",
        limits=LIGHTGBM_TREES,
        choices={**LIGHTGBM_KINDS, "objective": LIGHTGBM_LOSSES},
        threads=True,
        quantile="alpha",
    ),
    "LinearDiscriminantAnalysis": _spec(
        "discriminant_analysis", CLASSIFICATION, "n_components priors shrinkage solver tol", weighted=False
    ),
    "LinearRegression": _spec("linear_model", REGRESSION, "fit_intercept positive tol"),
    "LinearSVC": _spec("svm", CLASSIFICATION, f"{LINEAR_SVM} class_weight penalty", limits=LINEAR_SVM_ITERATIONS),
    "LinearSVR": _spec("svm", REGRESSION, f"{LINEAR_SVM} epsilon", limits=LINEAR_SVM_ITERATIONS),
    "LocalOutlierFactor": _spec(
        "neighbors",
        ANOMALY,
        "algorithm contamination leaf_size metric n_neighbors p",
        choices=NEIGHBOUR_METRICS,
        max_rows=QUADRATIC_ROWS,
        weighted=False,
    ),
    "LogisticRegression": _spec(
        "linear_model",
        CLASSIFICATION,
        "C class_weight dual fit_intercept intercept_scaling l1_ratio max_iter random_state solver tol",
    ),
    "MeanShift": _spec(
        "cluster",
        CLUSTERING,
        "bandwidth bin_seeding cluster_all max_iter min_bin_freq",
        max_rows=MATRIX_ROWS,
        weighted=False,
    ),
    "MiniBatchKMeans": _spec(
        "cluster",
        CLUSTERING,
        "batch_size init_size max_iter max_no_improvement n_clusters n_init random_state reassignment_ratio tol",
    ),
    "MLPClassifier": _spec("neural_network", CLASSIFICATION, PERCEPTRON),
    "MLPRegressor": _spec("neural_network", REGRESSION, f"{PERCEPTRON} loss"),
    "MultinomialNB": _spec("naive_bayes", CLASSIFICATION, "alpha class_prior fit_prior force_alpha"),
    "NearestCentroid": _spec(
        "neighbors",
        CLASSIFICATION,
        "metric priors shrink_threshold",
        choices={"metric": ("euclidean", "manhattan")},
        weighted=False,
    ),
    "NuSVC": _spec(
        "svm",
        CLASSIFICATION,
        f"{NU_SVM} break_ties class_weight decision_function_shape random_state",
        limits=KERNEL_ITERATIONS,
        choices=KERNELS,
        max_rows=QUADRATIC_ROWS,
    ),
    "NuSVR": _spec(
        "svm", REGRESSION, f"{NU_SVM} C", limits=KERNEL_ITERATIONS, choices=KERNELS, max_rows=QUADRATIC_ROWS
    ),
    "OneClassSVM": _spec("svm", ANOMALY, NU_SVM, limits=KERNEL_ITERATIONS, choices=KERNELS, max_rows=QUADRATIC_ROWS),
    "OrthogonalMatchingPursuit": _spec("linear_model", REGRESSION, "fit_intercept n_nonzero_coefs tol", weighted=False),
    "Perceptron": _spec(
        "linear_model",
        CLASSIFICATION,
        "alpha class_weight early_stopping eta0 fit_intercept l1_ratio max_iter n_iter_no_change penalty random_state "
        "shuffle tol validation_fraction",
    ),
    "PLSRegression": _spec("cross_decomposition", REGRESSION, "max_iter n_components scale tol", weighted=False),
    "PoissonRegressor": _spec("linear_model", REGRESSION, GENERALIZED),
    "QuadraticDiscriminantAnalysis": _spec(
        "discriminant_analysis", CLASSIFICATION, "priors reg_param shrinkage solver tol", weighted=False
    ),
    "QuantileRegressor": _spec(
        "linear_model",
        QUANTILES,
        "alpha fit_intercept quantile solver",
        choices=LINEAR_PROGRAMS,
        max_rows=QUADRATIC_ROWS,
        quantile="quantile",
    ),
    "RandomForestClassifier": _spec("ensemble", CLASSIFICATION, f"{FOREST} class_weight", threads=True),
    "RandomForestRegressor": _spec("ensemble", REGRESSION, FOREST, threads=True),
    "Ridge": _spec("linear_model", REGRESSION, RIDGE),
    "RidgeCV": _spec("linear_model", REGRESSION, "alphas cv fit_intercept gcv_mode", max_rows=QUADRATIC_ROWS),
    "RidgeClassifier": _spec("linear_model", CLASSIFICATION, f"{RIDGE} class_weight"),
    "SGDClassifier": _spec("linear_model", CLASSIFICATION, f"{SGD} class_weight"),
    "SGDRegressor": _spec("linear_model", REGRESSION, SGD),
    "StackingClassifier": _spec(
        "ensemble", ONE_LABEL, "cv passthrough stack_method", weighted=False, members="stacking"
    ),
    "StackingRegressor": _spec("ensemble", REGRESSION, "cv passthrough", weighted=False, members="stacking"),
    "SVC": _spec(
        "svm",
        CLASSIFICATION,
        f"{KERNEL_SVM} break_ties class_weight decision_function_shape random_state",
        limits=KERNEL_ITERATIONS,
        choices=KERNELS,
        max_rows=QUADRATIC_ROWS,
    ),
    "SVR": _spec(
        "svm",
        REGRESSION,
        f"{KERNEL_SVM} epsilon",
        limits=KERNEL_ITERATIONS,
        choices=KERNELS,
        max_rows=QUADRATIC_ROWS,
    ),
    "TheilSenRegressor": _spec(
        "linear_model",
        REGRESSION,
        "fit_intercept max_iter max_subpopulation n_subsamples random_state tol",
        weighted=False,
    ),
    "TweedieRegressor": _spec("linear_model", REGRESSION, f"{GENERALIZED} link power"),
    "VotingClassifier": _spec("ensemble", ONE_LABEL, "voting weights", weighted=False, members="voting"),
    "VotingRegressor": _spec("ensemble", REGRESSION, "weights", weighted=False, members="voting"),
}

ALLOWED |= {
    name: EstimatorSpec(
        path=added.path,
        problems=tuple(problem for problem in typing.get_args(Problem) if problem in added.problems),
        parameters=added.parameters,
        limits={**added.limits},
        choices={**added.choices},
        max_rows=added.max_rows,
        threads=False,
        weighted=added.weighted,
        quantile=None,
        members=None,
    )
    for name, added in plugins.estimators(taken=ALLOWED).items()
}

# Why an estimator that scikit-learn has can't be had here.
TAKES_NO_NEW_ROWS = (
    "it can only label the rows that it was fitted on, not new ones; take DBSCAN, GaussianMixture or KMeans"
)
LEFT_OUT = {
    "AgglomerativeClustering": TAKES_NO_NEW_ROWS,
    "HDBSCAN": TAKES_NO_NEW_ROWS,
    "OPTICS": TAKES_NO_NEW_ROWS,
    "PassiveAggressiveClassifier": "scikit-learn has deprecated it; take SGDClassifier",
    "PassiveAggressiveRegressor": "scikit-learn has deprecated it; take SGDRegressor",
    "SpectralClustering": TAKES_NO_NEW_ROWS,
}

# Why a parameter that scikit-learn documents can't be given here.
REFUSED = {
    "base_estimator": "an estimator inside another is not taken",
    "cache_size": "the worker decides how much memory is used",
    "categorical_features": "the recipe decides how categories are encoded",
    "estimator": "an estimator inside another is not taken",
    "final_estimator": "give it beside `params`, as `final_estimator`",
    "estimators": "give them beside `params`, as `estimators`",
    "init": "only scikit-learn's own start is taken",
    "n_jobs": "the worker decides how many threads are used",
    "penalty": "scikit-learn has deprecated it; give `C` and `l1_ratio`",
    "novelty": "it is always true here, so that new rows can be scored",
    "probability": "scikit-learn has deprecated it; for probabilities take another estimator",
    "verbose": "progress is reported by the job",
    "warm_start": "each job fits from the beginning",
}


def check(name: str, params: Mapping[str, object]) -> None:
    """Refuse an estimator or parameters that are not on the allow-list; raises ValueError that says what would do."""
    if name not in ALLOWED:
        hint = LEFT_OUT.get(name) or _did_you_mean(name, ALLOWED) or f"these are: {', '.join(sorted(ALLOWED))}"
        raise ValueError(f"estimator {name[:100]!r} is not on the allow-list; {hint}")
    spec = ALLOWED[name]
    for parameter, value in params.items():
        if parameter not in spec.parameters:
            raise ValueError(f"{name} takes no parameter {parameter[:100]!r} here; {_why(parameter, spec)}")
        try:
            parameters.check(parameter, value)
            _check_value(parameter, value, spec)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def holds_rows_out(name: str, params: Mapping[str, object]) -> bool:
    """Tell whether an estimator with these parameters keeps rows from its own fit to stop early by."""
    spec = ALLOWED[name]
    # Without a fraction histogram boosting stops by the rows that it learns from.
    if not spec.stops or ("validation_fraction" in params and params["validation_fraction"] is None):
        return False
    if "early_stopping" in spec.parameters:
        return params.get("early_stopping") is True
    return params.get("n_iter_no_change") is not None


def _check_value(parameter: str, value: object, spec: EstimatorSpec) -> None:
    if isinstance(value, (list, tuple)):
        longest = MAX_LAYERS if parameter == "hidden_layer_sizes" else MAX_LIST_LENGTH
        if len(value) > longest:
            raise ValueError(f"`{parameter}` has {len(value)} members; at most {longest} are taken")
        for member in value:
            _check_value(parameter, member, spec)
    elif isinstance(value, Mapping):
        for member in value.values():
            _check_value(parameter, member, spec)
    elif isinstance(value, str):
        choices = spec.choices.get(parameter)
        if choices is not None and value not in choices:
            raise ValueError(f"`{parameter}` is {value[:100]!r}; one of {', '.join(choices)} would do")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_number(parameter, value, spec)


def _check_number(parameter: str, value: float, spec: EstimatorSpec) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{parameter}` is {value}; a finite number would do")
    low, high = spec.limits.get(parameter, ANY_NUMBER)
    if not low <= value <= high:
        seen = f"{value}" if abs(value) < 1e30 else "a number beyond 1e30"
        raise ValueError(f"`{parameter}` is {seen}; {low:,} to {high:,} would do")


def _why(parameter: str, spec: EstimatorSpec) -> str:
    reason = REFUSED.get(parameter) or _did_you_mean(parameter, spec.parameters)
    return reason or f"these are taken: {', '.join(sorted(spec.parameters))}"


def _did_you_mean(word: str, words: Iterable[str]) -> str:
    lowered = {known.lower(): known for known in words}
    close = difflib.get_close_matches(word[:100].lower(), lowered, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(lowered[match] for match in close)}?" if close else ""
