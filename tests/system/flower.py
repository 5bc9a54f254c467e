"""Flower of a system under test, and what it shows."""

import sys
from typing import Any

import httpx

from tests import servers_sources
from tests.system import rig as rigs
from tests.system.rig import Rig


def flower(rig: Rig) -> httpx.Client:
    """Start Flower, if it does not run, and give a client of it."""
    if not rig.alive("flower"):
        rig.env |= {
            "MILLRACE_FLOWER_PORT": str(servers_sources.free_port()),
            "MILLRACE_FLOWER_BASIC_AUTH": "operator:secret",
            "FLOWER_UNAUTHENTICATED_API": "0",
        }
        rig.launch_command("flower", [sys.executable, "-m", "shared.queues.flower"])
    url = f"http://127.0.0.1:{rig.env['MILLRACE_FLOWER_PORT']}"
    rigs.until(lambda: answers(url), seconds=40, what="Flower to answer")
    return httpx.Client(base_url=url, auth=("operator", "secret"), timeout=20)


def answers(url: str) -> bool:
    """Tell whether a server answers at all."""
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True


def workers_shown(client: httpx.Client) -> list[str]:
    """Return the workers' names by Flower's API."""
    answer = client.get("/api/workers", params={"refresh": "1"})
    return list(answer.json()) if answer.status_code == httpx.codes.OK else []


def tasks_shown(client: httpx.Client) -> dict[str, Any]:
    """Return the tasks by Flower's API."""
    tasks: dict[str, Any] = client.get("/api/tasks").json()
    return tasks
