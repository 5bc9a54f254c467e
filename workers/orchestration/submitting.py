"""Submits the jobs of steps, as many as possible in one request."""

from collections.abc import Sequence
from typing import Any

from workers.orchestration.api_client import Client, Refused

MAX_AT_ONCE = 200

Outcome = str | Refused
"""The id of the job, or why there is none."""


def submit(client: Client, submissions: Sequence[dict[str, Any]]) -> list[Outcome]:
    """Submit jobs, each under its own key, so that one that was submitted before is found again.

    What the API refuses is told from the others by sending smaller and smaller parts. Raises Away.
    """
    if not submissions:
        return []
    try:
        jobs = client.post("/v1/jobs/batch", {"jobs": list(submissions)})["jobs"]
    except Refused as refusal:
        if len(submissions) == 1:
            return [refusal]
        half = len(submissions) // 2
        return [*submit(client, submissions[:half]), *submit(client, submissions[half:])]
    return [job["id"] for job in jobs]
