"""Imports once what the processes of `make up` need, before they are forked: they share the memory, and start at once.

docs/decisions/deployment.md, "`make up` imports once and forks".
"""

import gc
import importlib
import os
from collections.abc import Callable, Sequence

from shared import settings
from workers import memory, numeric_threads

SERVERS = (
    "shared.database",
    "shared.queues.celery_app",
    "celery.bin.celery",
    "celery.bin.worker",
    "flower.command",
    "api.app",
    "api.server",
    "granian.server",
    "granian.rsgi",
    "sweeper.sweeper",
)
"""What the API, the sweeper and Flower import."""

INFERENCE = ("workers.prediction.online.application",)
"""What the inference server imports, beside what was imported for the roles before it."""

_WORKER = ("celery.concurrency.prefork", "celery.worker.consumer", "workers.app")
_SLOW_LIBRARIES = {
    "ingestion": ("numpy", "pandas"),
    "processing": ("scipy.stats", "sklearn.linear_model", "sklearn.ensemble"),
}
"""What takes so long to import that a pause is due after it; a role's tasks would import it as well."""

_WITHOUT_THREADS = {
    # A library's thread does not live on in a fork, so none may be started by an import.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "ORT_DISABLE_TELEMETRY": "1",
    # Celery would put its own title in the place of ours.
    "NOSETPS": "1",
}


def prepare(config: settings.Settings) -> None:
    """Set the variables that libraries read when they are imported."""
    numeric_threads.limit(config)
    memory.prepare()
    for name, value in _WITHOUT_THREADS.items():
        os.environ.setdefault(name, value)


def modules_of(role: str) -> tuple[str, ...]:
    """List what a role's workers import, beside what was imported for the roles before it."""
    return (*_WORKER, *_SLOW_LIBRARIES.get(role, ()), f"workers.{role}.tasks")


def load(modules: Sequence[str], *, pause: Callable[[], bool]) -> None:
    """Import modules one after the other; `pause` is called before each, and returns whether to go on."""
    gc.disable()
    for module in modules:
        if not pause():
            break
        importlib.import_module(module)
    # What a collector never looks at, it never writes to: its pages stay shared with the forks.
    gc.freeze()
    gc.enable()
