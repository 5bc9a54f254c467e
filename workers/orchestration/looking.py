"""Looks how the jobs of a run are: those whose end an event tells, and now and then all of them."""

import urllib.parse
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from workers.orchestration.api_client import Away, Client, Refused
from workers.orchestration.progress import Progress

_PAGE = 500
_LOOK_AGAIN_MS = 25_000
"""After so long all jobs are looked at, whether or not an event has come."""
_NOT_FOUND, _GONE = 404, 410


def look(client: Client, progress: Progress, run: sa.Row[Any], updates: dict[str, Any], *, now: int) -> Away | None:
    """Note the jobs that have ended, and in `updates` how far the events were read; raises Away.

    Returns why some jobs could not be looked at, such as those of a role that is away; they are looked at again. When
    the owner may no longer look, what is running counts as failed, since nobody can see how it ends.
    """
    running = progress.list_jobs()
    if not running:
        return None
    try:
        job_ids, seen = _list_to_look_at(client, run, running, now=now)
        jobs = client.each(lambda job_id: _read_job(client, job_id), job_ids)
    except Refused as refusal:
        for key in running.values():
            progress.note_refused(key, refusal.message, now=now)
        return None
    away = None
    for job_id, job in zip(job_ids, jobs, strict=True):
        if isinstance(job, Away):
            away = job
        elif job is None:
            progress.note_gone(running[job_id], now=now)
        else:
            progress.note_end(running[job_id], job, now=now)
    if away is None:
        updates |= seen
    return away


def _list_to_look_at(
    client: Client, run: sa.Row[Any], running: Collection[str], *, now: int
) -> tuple[list[str], dict[str, Any]]:
    """List the jobs to look at: all after a while, else those whose end is logged; and what is then seen of the run."""
    try:
        ended, cursor = _read_ended(client, run)
    except Refused as refusal:
        if refusal.status != _GONE:
            raise
        # What followed has been pruned.
        return list(running), {"cursor": None, "looked_at": now}
    if now - run.looked_at >= _LOOK_AGAIN_MS:
        return list(running), {"cursor": cursor, "looked_at": now}
    return list(dict.fromkeys(job_id for job_id in ended if job_id in running)), {"cursor": cursor}


def _read_ended(client: Client, run: sa.Row[Any]) -> tuple[list[str], str | None]:
    """Read which jobs of the run's story have ended since the last turn, and where to go on."""
    ended: list[str] = []
    cursor: str | None = run.cursor
    query = {"correlation": run.correlation_id, "type": "job.*", "limit": _PAGE}
    while True:
        after = {} if cursor is None else {"after": cursor}
        page = client.get(f"/v1/events?{urllib.parse.urlencode(query | after)}")
        ended += [event["data"]["job_id"] for event in page["events"] if "job_id" in event["data"]]
        cursor = page["next"]
        if len(page["events"]) < _PAGE:
            return ended, cursor


def _read_job(client: Client, job_id: str) -> dict[str, Any] | Away | None:
    """Read a job; None when it is not there any more, and why where it can't be read now."""
    try:
        return client.get(f"/v1/jobs/{job_id}")
    except Away as away:
        return away
    except Refused as refusal:
        if refusal.status == _NOT_FOUND:
            return None
        raise
