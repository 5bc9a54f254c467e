"""A worker without Celery: it does a job in this process, as a pool's process would after the doorbell."""

from typing import Any

from shared import kinds, ping, runtime
from workers.evaluation import tasks as evaluation
from workers.ingestion import tasks as ingestion
from workers.prediction import tasks as prediction
from workers.processing import tasks as processing
from workers.storage import tasks as storage
from workers.training import export as exporting
from workers.training import tasks as training
from workers.training import update as updating
from workers.training.search import tasks as searches

BODIES: dict[str, runtime.Body] = {
    "ingestion.load": ingestion.load,
    "processing.fit": processing.fit,
    "processing.apply": processing.apply,
    "training.fit": training.fit,
    "training.search": searches.search,
    "training.trial": searches.try_out,
    "training.export": exporting.export,
    "training.update": updating.update,
    "evaluation.score": evaluation.score,
    "prediction.batch": prediction.batch,
    "storage.verify": storage.verify,
    "storage.prune": storage.prune,
    "storage.export": storage.export,
    "ingestion.adopt": ingestion.ADOPT,
    "processing.adopt": processing.ADOPT,
    "processing.adopt_features": processing.ADOPT_FEATURES,
    "prediction.adopt": prediction.ADOPT,
    "training.adopt": training.ADOPT,
}


def perform(job: dict[str, Any], *, body: runtime.Body | None = None) -> str | None:
    """Do a job, as the door described it, to its end; gives the error's class when it failed."""
    kind = job["kind"]
    chosen = body or (_pong if kind.endswith(".ping") else BODIES[kind])
    return runtime.perform(kinds.known()[kind], chosen, job["id"], owner="test")


def fail(_job: runtime.Job, _command: Any) -> runtime.Finish:
    """Fail, as a body that meets bad data does."""
    raise ValueError("the data is bad")


def _pong(job: runtime.Job, _command: Any) -> runtime.Finish:
    return lambda _connection: ping.Pong(attempt=job.attempt)
