"""The list of estimators that may be trained: ours, and those that installed packages add.

Plain data, because the API checks a job with it before accepting it and has no scikit-learn: docs/decisions/models.md,
"Estimators are an allow-list of names, parameters and limits in plain data".
"""

import functools
import typing
from collections.abc import Mapping

from shared import plugins
from shared.training.estimators.spec import (
    ANOMALY,
    BAGGING,
    BOOSTING,
    BOOSTING_ROUNDS,
    CLASSIFICATION,
    CLUSTERING,
    FOREST,
    GENERALIZED,
    HISTOGRAM,
    KERNEL_ITERATIONS,
    KERNEL_SVM,
    KERNELS,
    LASSO,
    LIGHTGBM,
    LIGHTGBM_KINDS,
    LIGHTGBM_LOSSES,
    LIGHTGBM_TREES,
    LINEAR_PROGRAMS,
    LINEAR_SVM,
    LINEAR_SVM_ITERATIONS,
    MATRIX_ROWS,
    MIXTURE,
    MIXTURE_COMPONENTS,
    NEIGHBOUR_METRICS,
    NEIGHBOURHOOD_ROWS,
    NEIGHBOURS,
    NU_SVM,
    ONE_LABEL,
    PAIRWISE_KERNELS,
    PATHS,
    PERCEPTRON,
    QUADRATIC_ROWS,
    QUANTILES,
    REGRESSION,
    RIDGE,
    SGD,
    SHORT_PATHS,
    TREE,
    EstimatorSpec,
    Problem,
    spec,
)

OWN: dict[str, EstimatorSpec] = {
    "AdaBoostClassifier": spec("ensemble", CLASSIFICATION, "learning_rate n_estimators random_state"),
    "AdaBoostRegressor": spec("ensemble", REGRESSION, "learning_rate loss n_estimators random_state"),
    "AffinityPropagation": spec(
        "cluster",
        CLUSTERING,
        "convergence_iter damping max_iter preference random_state",
        max_rows=MATRIX_ROWS // 2,
        weighted=False,
    ),
    "ARDRegression": spec(
        "linear_model",
        REGRESSION,
        "alpha_1 alpha_2 fit_intercept lambda_1 lambda_2 max_iter threshold_lambda tol",
        weighted=False,
    ),
    "BaggingClassifier": spec("ensemble", CLASSIFICATION, BAGGING),
    "BaggingRegressor": spec("ensemble", REGRESSION, BAGGING),
    "BayesianGaussianMixture": spec(
        "mixture",
        CLUSTERING,
        f"{MIXTURE} degrees_of_freedom_prior mean_precision_prior weight_concentration_prior "
        "weight_concentration_prior_type",
        limits=MIXTURE_COMPONENTS,
        weighted=False,
    ),
    "BayesianRidge": spec(
        "linear_model",
        REGRESSION,
        "alpha_1 alpha_2 alpha_init fit_intercept lambda_1 lambda_2 lambda_init max_iter tol",
    ),
    "BernoulliNB": spec("naive_bayes", CLASSIFICATION, "alpha binarize class_prior fit_prior force_alpha"),
    "ComplementNB": spec("naive_bayes", CLASSIFICATION, "alpha class_prior fit_prior force_alpha norm"),
    "DBSCAN": spec(
        "cluster",
        CLUSTERING,
        "algorithm eps leaf_size metric min_samples p",
        choices=NEIGHBOUR_METRICS,
        max_rows=NEIGHBOURHOOD_ROWS,
    ),
    "DecisionTreeClassifier": spec("tree", CLASSIFICATION, f"{TREE} class_weight splitter"),
    "DecisionTreeRegressor": spec("tree", REGRESSION, f"{TREE} splitter"),
    "DummyClassifier": spec("dummy", CLASSIFICATION, "constant random_state strategy"),
    "DummyRegressor": spec("dummy", REGRESSION, "constant quantile strategy"),
    "ElasticNet": spec("linear_model", REGRESSION, f"{LASSO} l1_ratio"),
    "ElasticNetCV": spec("linear_model", REGRESSION, f"{PATHS} l1_ratio", limits=SHORT_PATHS),
    "EllipticEnvelope": spec(
        "covariance", ANOMALY, "assume_centered contamination random_state support_fraction", weighted=False
    ),
    "ExtraTreeClassifier": spec("tree", CLASSIFICATION, f"{TREE} class_weight splitter"),
    "ExtraTreeRegressor": spec("tree", REGRESSION, f"{TREE} splitter"),
    "ExtraTreesClassifier": spec("ensemble", CLASSIFICATION, f"{FOREST} class_weight", threads=True),
    "ExtraTreesRegressor": spec("ensemble", REGRESSION, FOREST, threads=True),
    "GammaRegressor": spec("linear_model", REGRESSION, GENERALIZED),
    "GaussianMixture": spec("mixture", CLUSTERING, MIXTURE, limits=MIXTURE_COMPONENTS, weighted=False),
    "GaussianNB": spec("naive_bayes", CLASSIFICATION, "priors var_smoothing"),
    "GradientBoostingClassifier": spec("ensemble", CLASSIFICATION, BOOSTING),
    "GradientBoostingRegressor": spec("ensemble", QUANTILES, f"{BOOSTING} alpha", quantile="alpha"),
    "HistGradientBoostingClassifier": spec(
        "ensemble", CLASSIFICATION, f"{HISTOGRAM} class_weight", limits=BOOSTING_ROUNDS
    ),
    "HistGradientBoostingRegressor": spec(
        "ensemble", QUANTILES, f"{HISTOGRAM} quantile", limits=BOOSTING_ROUNDS, quantile="quantile"
    ),
    "HuberRegressor": spec("linear_model", REGRESSION, "alpha epsilon fit_intercept max_iter tol"),
    "IsolationForest": spec(
        "ensemble", ANOMALY, "bootstrap contamination max_features max_samples n_estimators random_state"
    ),
    "KernelRidge": spec(
        "kernel_ridge",
        REGRESSION,
        "alpha coef0 degree gamma kernel",
        choices=PAIRWISE_KERNELS,
        max_rows=MATRIX_ROWS,
    ),
    "KMeans": spec("cluster", CLUSTERING, "algorithm max_iter n_clusters n_init random_state tol"),
    "KNeighborsClassifier": spec("neighbors", CLASSIFICATION, NEIGHBOURS, choices=NEIGHBOUR_METRICS, weighted=False),
    "KNeighborsRegressor": spec("neighbors", REGRESSION, NEIGHBOURS, choices=NEIGHBOUR_METRICS, weighted=False),
    "Lars": spec("linear_model", REGRESSION, "eps fit_intercept jitter n_nonzero_coefs random_state", weighted=False),
    "Lasso": spec("linear_model", REGRESSION, LASSO),
    "LassoCV": spec("linear_model", REGRESSION, PATHS, limits=SHORT_PATHS),
    "LassoLars": spec(
        "linear_model", REGRESSION, "alpha eps fit_intercept jitter max_iter positive random_state", weighted=False
    ),
    "LassoLarsIC": spec(
        "linear_model", REGRESSION, "criterion eps fit_intercept max_iter noise_variance positive", weighted=False
    ),
    "LGBMClassifier": spec(
        "light_gbm",
        CLASSIFICATION,
        f"{LIGHTGBM} class_weight",
        package="shared.ml",
        limits=LIGHTGBM_TREES,
        choices=LIGHTGBM_KINDS,
        threads=True,
    ),
    "LGBMRegressor": spec(
        "light_gbm",
        QUANTILES,
        f"{LIGHTGBM} alpha objective",
        package="shared.ml",
        limits=LIGHTGBM_TREES,
        choices={**LIGHTGBM_KINDS, "objective": LIGHTGBM_LOSSES},
        threads=True,
        quantile="alpha",
    ),
    "LinearDiscriminantAnalysis": spec(
        "discriminant_analysis", CLASSIFICATION, "n_components priors shrinkage solver tol", weighted=False
    ),
    "LinearRegression": spec("linear_model", REGRESSION, "fit_intercept positive tol"),
    "LinearSVC": spec("svm", CLASSIFICATION, f"{LINEAR_SVM} class_weight penalty", limits=LINEAR_SVM_ITERATIONS),
    "LinearSVR": spec("svm", REGRESSION, f"{LINEAR_SVM} epsilon", limits=LINEAR_SVM_ITERATIONS),
    "LocalOutlierFactor": spec(
        "neighbors",
        ANOMALY,
        "algorithm contamination leaf_size metric n_neighbors p",
        choices=NEIGHBOUR_METRICS,
        max_rows=QUADRATIC_ROWS,
        weighted=False,
    ),
    "LogisticRegression": spec(
        "linear_model",
        CLASSIFICATION,
        "C class_weight dual fit_intercept intercept_scaling l1_ratio max_iter random_state solver tol",
    ),
    "MeanShift": spec(
        "cluster",
        CLUSTERING,
        "bandwidth bin_seeding cluster_all max_iter min_bin_freq",
        max_rows=MATRIX_ROWS,
        weighted=False,
    ),
    "MiniBatchKMeans": spec(
        "cluster",
        CLUSTERING,
        "batch_size init_size max_iter max_no_improvement n_clusters n_init random_state reassignment_ratio tol",
    ),
    "MLPClassifier": spec("neural_network", CLASSIFICATION, PERCEPTRON),
    "MLPRegressor": spec("neural_network", REGRESSION, f"{PERCEPTRON} loss"),
    "MultinomialNB": spec("naive_bayes", CLASSIFICATION, "alpha class_prior fit_prior force_alpha"),
    "NearestCentroid": spec(
        "neighbors",
        CLASSIFICATION,
        "metric priors shrink_threshold",
        choices={"metric": ("euclidean", "manhattan")},
        weighted=False,
    ),
    "NuSVC": spec(
        "svm",
        CLASSIFICATION,
        f"{NU_SVM} break_ties class_weight decision_function_shape random_state",
        limits=KERNEL_ITERATIONS,
        choices=KERNELS,
        max_rows=QUADRATIC_ROWS,
    ),
    "NuSVR": spec("svm", REGRESSION, f"{NU_SVM} C", limits=KERNEL_ITERATIONS, choices=KERNELS, max_rows=QUADRATIC_ROWS),
    "OneClassSVM": spec("svm", ANOMALY, NU_SVM, limits=KERNEL_ITERATIONS, choices=KERNELS, max_rows=QUADRATIC_ROWS),
    "OrthogonalMatchingPursuit": spec("linear_model", REGRESSION, "fit_intercept n_nonzero_coefs tol", weighted=False),
    "Perceptron": spec(
        "linear_model",
        CLASSIFICATION,
        "alpha class_weight early_stopping eta0 fit_intercept l1_ratio max_iter n_iter_no_change penalty random_state "
        "shuffle tol validation_fraction",
    ),
    "PLSRegression": spec("cross_decomposition", REGRESSION, "max_iter n_components scale tol", weighted=False),
    "PoissonRegressor": spec("linear_model", REGRESSION, GENERALIZED),
    "QuadraticDiscriminantAnalysis": spec(
        "discriminant_analysis", CLASSIFICATION, "priors reg_param shrinkage solver tol", weighted=False
    ),
    "QuantileRegressor": spec(
        "linear_model",
        QUANTILES,
        "alpha fit_intercept quantile solver",
        choices=LINEAR_PROGRAMS,
        max_rows=QUADRATIC_ROWS,
        quantile="quantile",
    ),
    "RandomForestClassifier": spec("ensemble", CLASSIFICATION, f"{FOREST} class_weight", threads=True),
    "RandomForestRegressor": spec("ensemble", REGRESSION, FOREST, threads=True),
    "Ridge": spec("linear_model", REGRESSION, RIDGE),
    "RidgeCV": spec("linear_model", REGRESSION, "alphas cv fit_intercept gcv_mode", max_rows=QUADRATIC_ROWS),
    "RidgeClassifier": spec("linear_model", CLASSIFICATION, f"{RIDGE} class_weight"),
    "SGDClassifier": spec("linear_model", CLASSIFICATION, f"{SGD} class_weight"),
    "SGDRegressor": spec("linear_model", REGRESSION, SGD),
    "StackingClassifier": spec(
        "ensemble", ONE_LABEL, "cv passthrough stack_method", weighted=False, members="stacking"
    ),
    "StackingRegressor": spec("ensemble", REGRESSION, "cv passthrough", weighted=False, members="stacking"),
    "SVC": spec(
        "svm",
        CLASSIFICATION,
        f"{KERNEL_SVM} break_ties class_weight decision_function_shape random_state",
        limits=KERNEL_ITERATIONS,
        choices=KERNELS,
        max_rows=QUADRATIC_ROWS,
    ),
    "SVR": spec(
        "svm",
        REGRESSION,
        f"{KERNEL_SVM} epsilon",
        limits=KERNEL_ITERATIONS,
        choices=KERNELS,
        max_rows=QUADRATIC_ROWS,
    ),
    "TheilSenRegressor": spec(
        "linear_model",
        REGRESSION,
        "fit_intercept max_iter max_subpopulation n_subsamples random_state tol",
        weighted=False,
    ),
    "TweedieRegressor": spec("linear_model", REGRESSION, f"{GENERALIZED} link power"),
    "VotingClassifier": spec("ensemble", ONE_LABEL, "voting weights", weighted=False, members="voting"),
    "VotingRegressor": spec("ensemble", REGRESSION, "weights", weighted=False, members="voting"),
}


@functools.cache
def specs() -> Mapping[str, EstimatorSpec]:
    """Return the spec of every estimator by its name; installed packages are read on the first call."""
    added = {
        name: EstimatorSpec(
            path=plugin.path,
            problems=tuple(problem for problem in typing.get_args(Problem) if problem in plugin.problems),
            parameters=plugin.parameters,
            limits={**plugin.limits},
            choices={**plugin.choices},
            max_rows=plugin.max_rows,
            threads=False,
            weighted=plugin.weighted,
            quantile=None,
            members=None,
        )
        for name, plugin in plugins.estimators(existing=OWN).items()
    }
    return OWN | added
