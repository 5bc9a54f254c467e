"""A system that serves: how the tests deploy there, and wait for what they did to be served."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from tests.system_under_test import System

WAIT_SECONDS = 60.0


def finish(system: System, accepted: httpx.Response) -> None:
    """Wait for the end of the job that was accepted."""
    assert accepted.status_code == httpx.codes.ACCEPTED, accepted.text
    await_true(lambda: system.client.get(accepted.headers["Location"]).json()["state"] == "succeeded")


def await_true(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.05)


def deploy(system: System, *routes: tuple[str, float], name: str = "great", **fields: Any) -> int:
    """Change a deployment, and return its revision."""
    document = {"routes": [{"model": model, "weight": weight} for model, weight in routes], **fields}
    answer = system.client.put(f"/v1/deployments/{name}", json=document)
    assert answer.status_code == httpx.codes.OK, answer.text
    revision: int = answer.json()["revision"]
    return revision


@contextlib.contextmanager
def asking(system: System, *, key: str | None = None) -> Iterator[httpx.Client]:
    """Yield a client of the inference server."""
    headers = {"Authorization": f"Bearer {key or system.key}"}
    with httpx.Client(base_url=system.inference_url, headers=headers, timeout=30) as client:
        yield client


def await_revision(client: httpx.Client, revision: int, *, name: str = "great") -> None:
    """Wait until a revision of a deployment is served."""

    def is_served() -> bool:
        answer = client.get(f"/v1/deployments/{name}")
        shown = answer.json() if answer.status_code == httpx.codes.OK else {"revision": 0, "ready": False}
        return bool(shown["ready"]) and shown["revision"] >= revision

    await_true(is_served)
