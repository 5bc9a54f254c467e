"""The types that an artifact may hold: each by its full name, under the skops loader that rebuilds it.

None of these loaders calls a function that the artifact names: those for functions, methods, partials, operators and
constructors are left out altogether. A type is added here by hand, after a look at what rebuilding it runs.
docs/decisions/models.md, "Artifacts are skops files that are walked against our own list before anything is loaded".
"""

import functools
from collections.abc import Mapping

from shared import plugins

# They hold plain data only; `Derive` parses its expression again, and checks it against the expression language.
OUR_TRANSFORMERS = """
shared.ml.column_transformers.Cast
shared.ml.column_transformers.Chosen
shared.ml.column_transformers.Derive
shared.ml.column_transformers.FormatDates
shared.ml.column_transformers.Numbered
shared.ml.column_transformers.ParseDates
shared.ml.column_transformers.Rename
shared.ml.encoders.FrequencyEncode
shared.ml.encoders.HashEncode
shared.ml.encoders.IntegerCategories
shared.ml.encoders.TargetEncode
shared.ml.imputers.IntegerImputer
shared.ml.imputers.KnnImputer
shared.ml.selection.Importance
shared.ml.selection.MutualInformation
shared.ml.texts.TextHash
shared.ml.texts.Tfidf
shared.ml.transformers.Clip
shared.ml.transformers.CyclicTime
shared.ml.transformers.DateParts
shared.ml.transformers.Floats
shared.ml.transformers.Log1p
shared.ml.transformers.Missing
"""

# A fitted ColumnTransformer replaces "passthrough" by a FunctionTransformer; no loader here can rebuild its function.
PREPROCESSING = """
sklearn.compose._column_transformer.ColumnTransformer
sklearn.decomposition._pca.PCA
sklearn.decomposition._truncated_svd.TruncatedSVD
sklearn.feature_selection._variance_threshold.VarianceThreshold
sklearn.impute._base.SimpleImputer
sklearn.impute._iterative.IterativeImputer
sklearn.model_selection._split.KFold
sklearn.model_selection._split.StratifiedKFold
sklearn.pipeline.Pipeline
sklearn.preprocessing._data.MinMaxScaler
sklearn.preprocessing._data.PowerTransformer
sklearn.preprocessing._data.QuantileTransformer
sklearn.preprocessing._data.RobustScaler
sklearn.preprocessing._data.StandardScaler
sklearn.preprocessing._discretization.KBinsDiscretizer
sklearn.preprocessing._encoders.OneHotEncoder
sklearn.preprocessing._encoders.OrdinalEncoder
sklearn.preprocessing._function_transformer.FunctionTransformer
sklearn.preprocessing._label.LabelBinarizer
sklearn.preprocessing._label.LabelEncoder
sklearn.preprocessing._polynomial.PolynomialFeatures
sklearn.preprocessing._target_encoder.TargetEncoder
"""

# The steps of an iterative imputation are named tuples, which the loader of tuples rebuilds.
TUPLES = """
builtins.tuple
sklearn.impute._iterative._ImputerTriplet
"""

OUR_ESTIMATORS = """
shared.ml.density_clusters.DensityClusters
shared.ml.imported.onnx_estimators.OnnxClassifier
shared.ml.imported.onnx_estimators.OnnxRegressor
shared.ml.light_gbm.LGBMClassifier
shared.ml.light_gbm.LGBMRegressor
shared.ml.quantile_models.ConformalModel
shared.ml.quantile_models.QuantileModels
"""

ESTIMATORS = """
sklearn.cluster._affinity_propagation.AffinityPropagation
sklearn.cluster._kmeans.KMeans
sklearn.cluster._kmeans.MiniBatchKMeans
sklearn.cluster._mean_shift.MeanShift
sklearn.covariance._elliptic_envelope.EllipticEnvelope
sklearn.cross_decomposition._pls.PLSRegression
sklearn.discriminant_analysis.LinearDiscriminantAnalysis
sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis
sklearn.dummy.DummyClassifier
sklearn.dummy.DummyRegressor
sklearn.ensemble._bagging.BaggingClassifier
sklearn.ensemble._bagging.BaggingRegressor
sklearn.ensemble._forest.ExtraTreesClassifier
sklearn.ensemble._forest.ExtraTreesRegressor
sklearn.ensemble._forest.RandomForestClassifier
sklearn.ensemble._forest.RandomForestRegressor
sklearn.ensemble._gb.GradientBoostingClassifier
sklearn.ensemble._gb.GradientBoostingRegressor
sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier
sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor
sklearn.ensemble._iforest.IsolationForest
sklearn.ensemble._stacking.StackingClassifier
sklearn.ensemble._stacking.StackingRegressor
sklearn.ensemble._voting.VotingClassifier
sklearn.ensemble._voting.VotingRegressor
sklearn.ensemble._weight_boosting.AdaBoostClassifier
sklearn.ensemble._weight_boosting.AdaBoostRegressor
sklearn.kernel_ridge.KernelRidge
sklearn.linear_model._base.LinearRegression
sklearn.linear_model._bayes.ARDRegression
sklearn.linear_model._bayes.BayesianRidge
sklearn.linear_model._coordinate_descent.ElasticNet
sklearn.linear_model._coordinate_descent.ElasticNetCV
sklearn.linear_model._coordinate_descent.Lasso
sklearn.linear_model._coordinate_descent.LassoCV
sklearn.linear_model._glm.glm.GammaRegressor
sklearn.linear_model._glm.glm.PoissonRegressor
sklearn.linear_model._glm.glm.TweedieRegressor
sklearn.linear_model._huber.HuberRegressor
sklearn.linear_model._least_angle.Lars
sklearn.linear_model._least_angle.LassoLars
sklearn.linear_model._least_angle.LassoLarsIC
sklearn.linear_model._logistic.LogisticRegression
sklearn.linear_model._omp.OrthogonalMatchingPursuit
sklearn.linear_model._perceptron.Perceptron
sklearn.linear_model._quantile.QuantileRegressor
sklearn.linear_model._ridge.Ridge
sklearn.linear_model._ridge.RidgeCV
sklearn.linear_model._ridge.RidgeClassifier
sklearn.linear_model._stochastic_gradient.SGDClassifier
sklearn.linear_model._stochastic_gradient.SGDRegressor
sklearn.linear_model._theil_sen.TheilSenRegressor
sklearn.mixture._bayesian_mixture.BayesianGaussianMixture
sklearn.mixture._gaussian_mixture.GaussianMixture
sklearn.multioutput.MultiOutputClassifier
sklearn.naive_bayes.BernoulliNB
sklearn.naive_bayes.ComplementNB
sklearn.naive_bayes.GaussianNB
sklearn.naive_bayes.MultinomialNB
sklearn.neighbors._classification.KNeighborsClassifier
sklearn.neighbors._lof.LocalOutlierFactor
sklearn.neighbors._nearest_centroid.NearestCentroid
sklearn.neighbors._regression.KNeighborsRegressor
sklearn.neighbors._unsupervised.NearestNeighbors
sklearn.neural_network._multilayer_perceptron.MLPClassifier
sklearn.neural_network._multilayer_perceptron.MLPRegressor
sklearn.svm._classes.LinearSVC
sklearn.svm._classes.LinearSVR
sklearn.svm._classes.NuSVC
sklearn.svm._classes.NuSVR
sklearn.svm._classes.OneClassSVM
sklearn.svm._classes.SVC
sklearn.svm._classes.SVR
sklearn.tree._classes.DecisionTreeClassifier
sklearn.tree._classes.DecisionTreeRegressor
sklearn.tree._classes.ExtraTreeClassifier
sklearn.tree._classes.ExtraTreeRegressor
"""

# What calibrates a classifier, and what gives it a threshold.
REFINEMENTS = """
sklearn.calibration.CalibratedClassifierCV
sklearn.calibration._CalibratedClassifier
sklearn.calibration._SigmoidCalibration
sklearn.isotonic.IsotonicRegression
sklearn.model_selection._classification_threshold.FixedThresholdClassifier
"""

# What fitted estimators keep inside: losses, links, bins, trees, neighbour indexes, optimizers.
INTERNALS = """
sklearn._loss.link.HalfLogitLink
sklearn._loss.link.IdentityLink
sklearn._loss.link.Interval
sklearn._loss.link.LogLink
sklearn._loss.link.LogitLink
sklearn._loss.link.MultinomialLogit
sklearn._loss.loss.AbsoluteError
sklearn._loss.loss.ExponentialLoss
sklearn._loss.loss.HalfBinomialLoss
sklearn._loss.loss.HalfGammaLoss
sklearn._loss.loss.HalfMultinomialLoss
sklearn._loss.loss.HalfPoissonLoss
sklearn._loss.loss.HalfSquaredError
sklearn._loss.loss.HalfTweedieLoss
sklearn._loss.loss.HalfTweedieLossIdentity
sklearn._loss.loss.HuberLoss
sklearn._loss.loss.PinballLoss
sklearn.ensemble._hist_gradient_boosting.binning._BinMapper
sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor
sklearn.metrics._dist_metrics.ChebyshevDistance64
sklearn.metrics._dist_metrics.EuclideanDistance64
sklearn.metrics._dist_metrics.ManhattanDistance64
sklearn.metrics._dist_metrics.MinkowskiDistance64
sklearn.neighbors._ball_tree.BallTree
sklearn.neighbors._kd_tree.KDTree
sklearn.neural_network._stochastic_optimizers.AdamOptimizer
sklearn.neural_network._stochastic_optimizers.SGDOptimizer
"""

LOSSES = """
sklearn._loss._loss.CyAbsoluteError
sklearn._loss._loss.CyExponentialLoss
sklearn._loss._loss.CyHalfBinomialLoss
sklearn._loss._loss.CyHalfGammaLoss
sklearn._loss._loss.CyHalfMultinomialLoss
sklearn._loss._loss.CyHalfPoissonLoss
sklearn._loss._loss.CyHalfSquaredError
sklearn._loss._loss.CyHalfTweedieLoss
sklearn._loss._loss.CyHalfTweedieLossIdentity
sklearn._loss._loss.CyHuberLoss
sklearn._loss._loss.CyPinballLoss
sklearn.linear_model._sgd_fast.EpsilonInsensitive
sklearn.linear_model._sgd_fast.Hinge
sklearn.linear_model._sgd_fast.ModifiedHuber
sklearn.linear_model._sgd_fast.SquaredEpsilonInsensitive
sklearn.linear_model._sgd_fast.SquaredHinge
"""

# A TypeNode stores the class itself, such as the type of a dictionary's keys; these classes only convert values.
CONVERSIONS = """
builtins.bool
builtins.float
builtins.int
builtins.str
numpy.bool
numpy.float64
numpy.int64
"""

ARRAYS = """
numpy.bool
numpy.float32
numpy.float64
numpy.int32
numpy.int64
numpy.ndarray
numpy.str_
numpy.uint64
"""

OWN: dict[str, frozenset[str]] = {
    "DTypeNode": frozenset({"numpy.dtype"}),
    "DictNode": frozenset({"builtins.dict", "sklearn.utils._bunch.Bunch"}),
    "JsonNode": frozenset({"builtins.str"}),
    "ListNode": frozenset({"builtins.list"}),
    "LossNode": frozenset(LOSSES.split()),
    "NdArrayNode": frozenset(ARRAYS.split()),
    "ObjectNode": frozenset(
        (OUR_TRANSFORMERS + PREPROCESSING + OUR_ESTIMATORS + ESTIMATORS + REFINEMENTS + INTERNALS).split()
    ),
    "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
    "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
    "SliceNode": frozenset({"builtins.slice"}),
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "TupleNode": frozenset(TUPLES.split()),
    "TypeNode": frozenset(CONVERSIONS.split()),
}
"""Millrace's own list, by loader."""


@functools.cache
def list_by_loader() -> Mapping[str, frozenset[str]]:
    """Map each loader to the types that it may rebuild: our list, and the types that installed packages declare.

    An operator who installs a package trusts its types. docs/decisions/models.md, "Specs of plugins are plain data, and
    their artifact types must be the package's own".
    """
    return OWN | {"ObjectNode": OWN["ObjectNode"] | plugins.artifact_types()}


@functools.cache
def list_names() -> frozenset[str]:
    """List all types that an artifact may hold."""
    return frozenset().union(*list_by_loader().values())
