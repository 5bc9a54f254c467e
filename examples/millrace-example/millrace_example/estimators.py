"""The estimators that this package adds, as plain data."""

from shared import plugins

NEAREST_MEAN = plugins.Estimator(
    path="millrace_example.nearest_mean",
    problems=("classification",),
    types=frozenset({"millrace_example.nearest_mean.NearestMeanClassifier"}),
    parameters=frozenset({"sharpness"}),
    limits={"sharpness": (0.001, 1000.0)},
)
