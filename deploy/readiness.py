"""Waits until every process of `make up` answers."""

import time
import urllib.error
import urllib.request
from collections.abc import Sequence

from shared import database, settings
from shared.jobs import workers

LIMIT_SECONDS = 180
_LOOK_SECONDS = 0.2
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Reaches our own addresses, whatever proxy the environment names."""


def addresses(config: settings.Settings) -> dict[str, str]:
    """Return the addresses of what answers HTTP, by the names of the Procfile."""
    return {
        "api": f"http://{config.api_host}:{config.api_port}",
        "inference": f"http://{config.inference_host}:{config.inference_port}",
        "flower": f"http://{config.flower_host}:{config.flower_port}",
    }


def is_reached(config: settings.Settings, *, served: Sequence[str]) -> bool:
    """Wait until what answers HTTP and a worker of every served role do; False when that takes too long."""
    known = addresses(config)
    probed = [f"{known['api']}/healthz", f"{known['inference']}/healthz", known["flower"]]
    limit = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < limit:
        if _has_workers(served, beat_seconds=config.beat_seconds) and all(map(_answers, probed)):
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def _answers(url: str) -> bool:
    try:
        with _direct.open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _has_workers(served: Sequence[str], *, beat_seconds: float) -> bool:
    databases = database.of_process()
    try:
        for role in served:
            with databases[role].statements.connect() as connection:
                if not workers.list_live(connection, beat_seconds=beat_seconds):
                    return False
    except database.FAULTS:
        return False
    return True
