"""The allow-list: which scikit-learn estimators may be trained, with which parameters and within which limits.

Plain data, because the API checks a job with it before accepting it and has no scikit-learn. The values' types are
checked by scikit-learn itself in the worker. Left out of every estimator: what takes code or another estimator, what
the worker decides (threads, verbosity), and what scikit-learn has deprecated.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Literal

Problem = Literal["classification", "regression"]
Limits = dict[str, tuple[float, float]]
Choices = dict[str, tuple[str, ...]]

CLASSIFICATION: tuple[Problem, ...] = ("classification",)
REGRESSION: tuple[Problem, ...] = ("regression",)


@dataclasses.dataclass(frozen=True)
class EstimatorSpec:
    """What may be asked of one estimator."""

    path: str  # The module of scikit-learn that has it.
    problems: tuple[Problem, ...]
    parameters: frozenset[str]
    limits: Limits  # Inclusive bounds, of the number itself or of each number in a list.
    choices: Choices  # The only texts taken, where scikit-learn takes more than is sound.
    max_rows: int | None  # Where time or memory grows with the square of the rows.
    threads: bool  # Whether fitting gains from `n_jobs` threads and gives the same bits with any number of them.


# What the same parameter name means for every estimator that has it.
LIMITS: Limits = {
    "C": (1e-12, 1e12),
    "degree": (0, 10),
    "hidden_layer_sizes": (1, 2048),
    "leaf_size": (1, 10_000),
    "max_bins": (2, 255),
    "max_depth": (1, 1_000),
    "max_fun": (1, 1_000_000),
    "max_iter": (1, 100_000),
    "max_leaf_nodes": (2, 100_000),
    "n_estimators": (1, 10_000),
    "n_iter_no_change": (1, 100_000),
    "n_neighbors": (1, 10_000),
    "random_state": (0, 2**32 - 1),
}
ANY_NUMBER = (-(2**63), 2**63 - 1)  # What a machine word holds; scikit-learn itself knows closer bounds.
BOOSTING_ROUNDS: Limits = {"max_iter": (1, 10_000)}
# -1 is scikit-learn's "until it converges", which it never does when it has to come too close.
KERNEL_ITERATIONS: Limits = {"max_iter": (-1, 10_000_000), "tol": (1e-6, 1e3), "C": (1e-12, 1e6)}
LINEAR_SVM_ITERATIONS: Limits = {"max_iter": (1, 1_000_000)}
QUADRATIC_ROWS = 50_000

MAX_LIST_LENGTH = 1_000
MAX_LAYERS = 8

KERNELS: Choices = {"kernel": ("linear", "poly", "rbf", "sigmoid")}
NEIGHBOUR_METRICS: Choices = {"metric": ("chebyshev", "cityblock", "cosine", "euclidean", "manhattan", "minkowski")}
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


def _spec(
    path: str,
    problems: tuple[Problem, ...],
    parameters: str,
    *,
    limits: Limits | None = None,
    choices: Choices | None = None,
    max_rows: int | None = None,
    threads: bool = False,
) -> EstimatorSpec:
    names = frozenset(parameters.split())
    bounds = {name: bound for name, bound in (LIMITS | (limits or {})).items() if name in names}
    return EstimatorSpec(f"sklearn.{path}", problems, names, bounds, choices or {}, max_rows, threads)


ALLOWED: dict[str, EstimatorSpec] = {
    "AdaBoostClassifier": _spec("ensemble", CLASSIFICATION, "learning_rate n_estimators random_state"),
    "AdaBoostRegressor": _spec("ensemble", REGRESSION, "learning_rate loss n_estimators random_state"),
    "BayesianRidge": _spec(
        "linear_model",
        REGRESSION,
        "alpha_1 alpha_2 alpha_init fit_intercept lambda_1 lambda_2 lambda_init max_iter tol",
    ),
    "BernoulliNB": _spec("naive_bayes", CLASSIFICATION, "alpha binarize class_prior fit_prior force_alpha"),
    "DecisionTreeClassifier": _spec("tree", CLASSIFICATION, f"{TREE} class_weight splitter"),
    "DecisionTreeRegressor": _spec("tree", REGRESSION, f"{TREE} splitter"),
    "DummyClassifier": _spec("dummy", CLASSIFICATION, "constant random_state strategy"),
    "DummyRegressor": _spec("dummy", REGRESSION, "constant quantile strategy"),
    "ElasticNet": _spec("linear_model", REGRESSION, f"{LASSO} l1_ratio"),
    "ExtraTreesClassifier": _spec("ensemble", CLASSIFICATION, f"{FOREST} class_weight", threads=True),
    "ExtraTreesRegressor": _spec("ensemble", REGRESSION, FOREST, threads=True),
    "GammaRegressor": _spec("linear_model", REGRESSION, GENERALIZED),
    "GaussianNB": _spec("naive_bayes", CLASSIFICATION, "priors var_smoothing"),
    "GradientBoostingClassifier": _spec("ensemble", CLASSIFICATION, BOOSTING),
    "GradientBoostingRegressor": _spec("ensemble", REGRESSION, f"{BOOSTING} alpha"),
    "HistGradientBoostingClassifier": _spec(
        "ensemble", CLASSIFICATION, f"{HISTOGRAM} class_weight", limits=BOOSTING_ROUNDS
    ),
    "HistGradientBoostingRegressor": _spec("ensemble", REGRESSION, f"{HISTOGRAM} quantile", limits=BOOSTING_ROUNDS),
    "HuberRegressor": _spec("linear_model", REGRESSION, "alpha epsilon fit_intercept max_iter tol"),
    "KNeighborsClassifier": _spec("neighbors", CLASSIFICATION, NEIGHBOURS, choices=NEIGHBOUR_METRICS),
    "KNeighborsRegressor": _spec("neighbors", REGRESSION, NEIGHBOURS, choices=NEIGHBOUR_METRICS),
    "Lasso": _spec("linear_model", REGRESSION, LASSO),
    "LinearDiscriminantAnalysis": _spec(
        "discriminant_analysis", CLASSIFICATION, "n_components priors shrinkage solver tol"
    ),
    "LinearRegression": _spec("linear_model", REGRESSION, "fit_intercept positive tol"),
    "LinearSVC": _spec("svm", CLASSIFICATION, f"{LINEAR_SVM} class_weight penalty", limits=LINEAR_SVM_ITERATIONS),
    "LinearSVR": _spec("svm", REGRESSION, f"{LINEAR_SVM} epsilon", limits=LINEAR_SVM_ITERATIONS),
    "LogisticRegression": _spec(
        "linear_model",
        CLASSIFICATION,
        "C class_weight dual fit_intercept intercept_scaling l1_ratio max_iter random_state solver tol",
    ),
    "MLPClassifier": _spec("neural_network", CLASSIFICATION, PERCEPTRON),
    "MLPRegressor": _spec("neural_network", REGRESSION, f"{PERCEPTRON} loss"),
    "PoissonRegressor": _spec("linear_model", REGRESSION, GENERALIZED),
    "QuadraticDiscriminantAnalysis": _spec(
        "discriminant_analysis", CLASSIFICATION, "priors reg_param shrinkage solver tol"
    ),
    "QuantileRegressor": _spec(
        "linear_model",
        REGRESSION,
        "alpha fit_intercept quantile solver",
        choices=LINEAR_PROGRAMS,
        max_rows=QUADRATIC_ROWS,
    ),
    "RandomForestClassifier": _spec("ensemble", CLASSIFICATION, f"{FOREST} class_weight", threads=True),
    "RandomForestRegressor": _spec("ensemble", REGRESSION, FOREST, threads=True),
    "Ridge": _spec("linear_model", REGRESSION, RIDGE),
    "RidgeClassifier": _spec("linear_model", CLASSIFICATION, f"{RIDGE} class_weight"),
    "SGDClassifier": _spec("linear_model", CLASSIFICATION, f"{SGD} class_weight"),
    "SGDRegressor": _spec("linear_model", REGRESSION, SGD),
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
    "TweedieRegressor": _spec("linear_model", REGRESSION, f"{GENERALIZED} link power"),
}

# Why a parameter that scikit-learn documents can't be given here.
REFUSED = {
    "base_estimator": "an estimator inside another is not taken",
    "cache_size": "the worker decides how much memory is used",
    "categorical_features": "the recipe decides how categories are encoded",
    "estimator": "an estimator inside another is not taken",
    "init": "an estimator inside another is not taken",
    "n_jobs": "the worker decides how many threads are used",
    "penalty": "scikit-learn has deprecated it; give `C` and `l1_ratio`",
    "probability": "scikit-learn has deprecated it; for probabilities take another estimator",
    "verbose": "progress is reported by the job",
    "warm_start": "each job fits from the beginning",
}


def check(name: str, params: Mapping[str, object]) -> None:
    """Refuse an estimator or parameters that are not on the allow-list; raises ValueError that says what would do."""
    if name not in ALLOWED:
        hint = _did_you_mean(name, ALLOWED) or f"these are: {', '.join(sorted(ALLOWED))}"
        raise ValueError(f"estimator {name[:100]!r} is not on the allow-list; {hint}")
    spec = ALLOWED[name]
    for parameter, value in params.items():
        if parameter not in spec.parameters:
            raise ValueError(f"{name} takes no parameter {parameter[:100]!r} here; {_why(parameter, spec)}")
        try:
            _check_value(parameter, value, spec)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


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
