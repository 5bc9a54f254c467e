"""The libraries that a model is trained with: their versions, and their threads and warnings meanwhile."""

import contextlib
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator

import threadpoolctl

from shared.ml import notices
from shared.ml.values import lost_values
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
    return versions_of(sorted({*LIBRARIES, *wrapped}))


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of libraries, and that of Python."""
    return {name: importlib.metadata.version(name) for name in names} | {"python": platform.python_version()}


@contextlib.contextmanager
def limit_threads(threads: int, *, in_batches: bool = False) -> Iterator[list[str]]:
    """Limit the libraries' threads, and collect their warnings in the list, which is filled on leaving.

    Values that steps can't read are counted in it: by the fit on all rows or, `in_batches`, by all that see some rows.
    """
    with threadpoolctl.threadpool_limits(limits=threads), lost_values.counted() as losses, notices.collect() as caught:
        yield caught
    caught += losses.describe(in_batches=in_batches)
