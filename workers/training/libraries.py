"""Which versions of which libraries made a model."""

import importlib.metadata
import platform

from shared.training.estimators import catalogue

LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")
# What stands behind a package of ours.
BEHIND = {"shared.ml.light_gbm": ["lightgbm"]}


def versions_for(estimator: str) -> dict[str, str]:
    """Give the versions of the libraries that an estimator of the allow-list is made with, Python's own among them."""
    path = catalogue.specs()[estimator].path
    behind = BEHIND.get(path, [])
    if not path.startswith(("sklearn.", "shared.")):
        behind = importlib.metadata.packages_distributions().get(path.partition(".")[0], [])
    names = sorted({*LIBRARIES, *behind})
    return {name: importlib.metadata.version(name) for name in names} | {"python": platform.python_version()}
