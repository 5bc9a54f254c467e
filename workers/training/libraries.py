"""The versions of the libraries that a model was trained with."""

import importlib.metadata
import platform

from shared.training.estimators import allow_list

LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")
# Libraries that modules of ours wrap.
WRAPPED_LIBRARIES = {"shared.ml.light_gbm": ["lightgbm"]}


def versions_for(estimator: str) -> dict[str, str]:
    """Return the versions of the libraries that an estimator of the allow-list uses, and that of Python."""
    path = allow_list.specs()[estimator].path
    wrapped = WRAPPED_LIBRARIES.get(path, [])
    if not path.startswith(("sklearn.", "shared.")):
        wrapped = importlib.metadata.packages_distributions().get(path.partition(".")[0], [])
    names = sorted({*LIBRARIES, *wrapped})
    return {name: importlib.metadata.version(name) for name in names} | {"python": platform.python_version()}
