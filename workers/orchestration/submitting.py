"""Submits the jobs of steps, as many as possible in one request."""

from collections.abc import Iterator, Sequence
from typing import Any

from shared.orchestration.runs import Place
from workers.orchestration.api_client import Client, Refused

MAX_AT_ONCE = 200

Outcome = str | Refused
"""The id of the job, or why there is none."""


def part(places: Sequence[Place]) -> Iterator[list[Place]]:
    """Part what is to be submitted by role, each of which may be away, and into as much as one request takes."""
    by_role: dict[str, list[Place]] = {}
    for place in places:
        by_role.setdefault((place.submission or {})["kind"].partition(".")[0], []).append(place)
    for of_role in by_role.values():
        for start in range(0, len(of_role), MAX_AT_ONCE):
            yield of_role[start : start + MAX_AT_ONCE]


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
