"""How many threads numeric libraries may use in one of a worker's pool processes."""

import os

from shared import settings

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def count(config: settings.Settings) -> int:
    """Compute how many threads a numeric library may use in one pool process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return config.worker_threads or max(1, cores // config.worker_concurrency)


def limit(config: settings.Settings) -> None:
    """Set the libraries' own variables where the operator has set none; they are read when a library is loaded."""
    for variable in _VARIABLES:
        os.environ.setdefault(variable, str(count(config)))
