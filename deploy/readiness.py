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


def addresses(config: settings.Settings) -> tuple[str, str]:
    """Return the addresses of the API and of Flower."""
    return f"http://{config.api_host}:{config.api_port}", f"http://{config.flower_host}:{config.flower_port}"


def is_reached(config: settings.Settings, *, served: Sequence[str]) -> bool:
    """Wait until the API, Flower and a worker of every served role answer; False when that takes too long."""
    api, flower = addresses(config)
    limit = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < limit:
        if _has_workers(served, beat_seconds=config.beat_seconds) and _answers(f"{api}/healthz") and _answers(flower):
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
