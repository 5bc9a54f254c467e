"""Which types of values estimators' parameters take, by the parameter's name, in plain data.

A type or a text is listed when any estimator of the allow-list takes it for a parameter of that name, so nothing that
scikit-learn takes is refused here; the worker checks each estimator's own rules before it reads the data. A parameter
that is not listed takes what its estimator takes.
"""

from collections.abc import Mapping

TYPES = {
    "boolean": (
        "assume_centered bin_seeding bootstrap bootstrap_features break_ties cluster_all fit_intercept "
        "fit_prior force_alpha nesterovs_momentum norm passthrough positive scale shrinking shuffle"
    ),
    "boolean number string list null": "constant",
    "boolean string": "dual early_stopping",
    "boolean integer": "average",
    "list null": "class_prior",
    "number": (
        "C alpha_1 alpha_2 beta_1 beta_2 ccp_alpha coef0 damping degree eps epsilon eta0 intercept_scaling "
        "l2_regularization lambda_1 lambda_2 learning_rate_init max_subpopulation min_impurity_decrease "
        "min_samples_leaf min_samples_split min_weight_fraction_leaf momentum nu power power_t "
        "reassignment_ratio reg_covar reg_param subsample threshold_lambda var_smoothing"
    ),
    "number list": "alpha alphas",
    "number list null": "l1_ratio preference",
    "number null": (
        "alpha_init bandwidth binarize degrees_of_freedom_prior jitter lambda_init mean_precision_prior "
        "noise_variance p quantile shrink_threshold support_fraction tol validation_fraction "
        "weight_concentration_prior"
    ),
    "number string": "contamination learning_rate",
    "number string null": "gamma max_features max_samples shrinkage",
    "string": (
        "activation algorithm covariance_type criterion decision_function_shape init_params kernel link loss "
        "metric selection solver splitter stack_method strategy voting weight_concentration_prior_type"
    ),
    "string list null": "priors weights",
    "string list object null": "class_weight",
    "string null": "gcv_mode penalty",
    "integer": "convergence_iter leaf_size max_bins max_fun min_bin_freq min_samples n_clusters n_estimators",
    "integer list": "hidden_layer_sizes",
    "integer null": (
        "cv init_size max_depth max_iter max_leaf_nodes max_no_improvement n_components n_iter_no_change "
        "n_neighbors n_nonzero_coefs n_subsamples random_state"
    ),
    "integer string": "batch_size n_init",
}
TEXT_VALUES = {
    "activation": "identity logistic relu tanh",
    "algorithm": "auto ball_tree brute elkan kd_tree lloyd",
    "batch_size": "auto",
    "class_weight": "balanced balanced_subsample",
    "contamination": "auto",
    "covariance_type": "diag full spherical tied",
    "criterion": "absolute_error aic bic entropy gini log_loss poisson squared_error",
    "decision_function_shape": "ovo ovr",
    "dual": "auto",
    "early_stopping": "auto",
    "gamma": "auto scale",
    "gcv_mode": "auto eigen svd",
    "init_params": "k-means++ kmeans random random_from_data",
    "learning_rate": "adaptive constant invscaling optimal pa1 pa2",
    "link": "auto identity log",
    "loss": (
        "absolute_error epsilon_insensitive exponential gamma hinge huber linear log_loss modified_huber perceptron "
        "poisson quantile square squared_epsilon_insensitive squared_error squared_hinge"
    ),
    "max_features": "log2 sqrt",
    "max_samples": "auto",
    "n_init": "auto",
    "penalty": "elasticnet l1 l2",
    "priors": "empirical uniform",
    "selection": "cyclic random",
    "shrinkage": "auto",
    "solver": (
        "adam auto cholesky eigen highs highs-ds highs-ipm lbfgs liblinear lsqr newton-cg newton-cholesky sag saga sgd "
        "sparse_cg svd"
    ),
    "splitter": "best random",
    "stack_method": "auto decision_function predict predict_proba",
    "strategy": "constant mean median most_frequent prior quantile stratified uniform",
    "voting": "hard soft",
    "weight_concentration_prior_type": "dirichlet_distribution dirichlet_process",
    "weights": "distance uniform",
}

TYPES_OF = {name: tuple(types.split()) for types, names in TYPES.items() for name in names.split()}
TEXT_VALUES_OF = {name: tuple(values.split()) for name, values in TEXT_VALUES.items()}
TYPE_NAMES = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "list": "a list",
    "object": "an object",
    "null": "null",
}


def check(parameter: str, value: object) -> None:
    """Raise ValueError, saying what helps, for a value that no estimator takes for a parameter of this name."""
    types = TYPES_OF.get(parameter)
    if types is None:
        return
    if isinstance(value, str) and "string" in types:
        choices = TEXT_VALUES_OF.get(parameter)
        if choices is not None and value not in choices:
            raise ValueError(f"`{parameter}` is {value[:100]!r}; use one of {', '.join(choices)}")
    elif _type_of(value) not in {*types, *(["integer"] if "number" in types else [])}:
        expected = " or ".join(TYPE_NAMES[name] for name in types)
        raise ValueError(f"`{parameter}` is {_describe(value)}; use {expected}")


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for python_type, name in ((int, "integer"), (float, "number"), (str, "string"), (Mapping, "object")):
        if isinstance(value, python_type):
            return name
    return "list"


def _describe(value: object) -> str:
    if isinstance(value, (Mapping, type(None))):
        return TYPE_NAMES[_type_of(value)]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a number beyond 1e30"
    return repr(value)[:100]
