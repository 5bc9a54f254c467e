"""Runs of pipelines, as they are read: a run is a job, and its steps are rows beside it."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Any

from api.reads import cursors, jobs
from shared import clock, database, errors, ids
from shared.jobs import references, views
from shared.jobs.states import State
from shared.orchestration import runs
from shared.orchestration.contract import RUN
from shared.orchestration.language import advancing, causes, plans
from shared.orchestration.language.document import Pipeline
from shared.orchestration.language.runs import Key, Run, WaitingFor

ROLE = "orchestration"
_SHOWN_ITEMS = 100
_URGENCY = ("failed", "cancelled", "running", "waiting", "succeeded", "skipped")
"""Which items of a step are shown where there are many."""


def page(
    databases: database.Databases, tenant_id: str, name: str, *, state: State | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Read a page of a pipeline's runs, newest first, without their steps."""
    chosen = views.Filter(
        tenant_id=tenant_id,
        kind=RUN.name,
        state=state,
        tags=[references.tag_of(references.PIPELINE, name)],
        before=cursors.unpack(cursor, pattern=r"[0-7][0-9A-HJKMNP-TV-Z]{25}"),
    )
    with database.available(ROLE), databases[ROLE].statements.connect() as connection:
        job_ids = views.list_ids(connection, chosen, role=ROLE, limit=limit + 1)
        rows, cut_at = views.read_many(connection, job_ids[:limit])
    end = limit if cut_at is None else cut_at
    return {
        "runs": [_summarize(row) for row in rows],
        "next_cursor": cursors.pack(ids.ulid_of(job_ids[end - 1])) if end < len(job_ids) else None,
    }


def find(databases: database.Databases, tenant_id: str, name: str, run_id: str) -> views.ShownJob:
    """Read the job that a run is; raises NotFoundError."""
    row = jobs.find(databases, tenant_id, run_id) if ids.role_of(run_id) == ROLE else None
    if row is None or row.kind != RUN.name or row.params["pipeline"] != name:
        raise errors.NotFoundError(f"The pipeline {name} has no run {run_id[:80]!r}.")
    return row


def show(databases: database.Databases, tenant_id: str, name: str, run_id: str) -> dict[str, Any]:
    """Read a run with its steps; raises NotFoundError."""
    return describe(databases, tenant_id, find(databases, tenant_id, name, run_id))


def describe(databases: database.Databases, tenant_id: str, row: views.ShownJob) -> dict[str, Any]:
    """Describe a run, with what its steps are and wait for."""
    with database.available(ROLE), databases[ROLE].statements.connect() as connection:
        run = runs.find(connection, row.id, tenant_id=tenant_id)
        places = {} if run is None else runs.read_places(connection, row.id, tenant_id=tenant_id)
    document = {
        **_summarize(row),
        "correlation_id": row.id,
        "waiting_for": None,
        "at": None,
        "steps": [],
        "outputs": None,
    }
    if run is None:
        return document
    plan = plans.of(Pipeline.model_validate(run.document))
    read = Run(
        id=row.id,
        params=run.params,
        instances=[place.instance for place in places.values()],
        now=run.now,
        started_at=run.started_at,
    )
    waiting = {} if row.is_terminal else advancing.explain(plan, read)
    if document["state"] == State.RUNNING and not any(each.state == "running" for each in read.instances):
        document["state"] = "waiting"
    return document | {
        "version": run.version,
        "params": run.params,
        "at": clock.to_text(run.at or run.started_at),
        "correlation_id": run.correlation_id,
        "waiting_for": None if run.trouble is None or row.is_terminal else {"kind": "api", "detail": run.trouble},
        "steps": _describe_steps(plan, read, places, waiting),
        "outputs": (row.result or {}).get("outputs"),
    }


def _summarize(row: views.ShownJob) -> dict[str, Any]:
    job = views.to_document(row)
    same = ("id", "state", "error", "tags", "created_at", "started_at", "finished_at")
    return {
        **{name: job[name] for name in same},
        "pipeline": row.params["pipeline"],
        "version": row.params["version"],
        "params": row.params["params"],
        "resumes": row.params["resumes"],
    }


def _describe_steps(
    plan: plans.Plan, run: Run, places: Mapping[Key, runs.Place], waiting: Mapping[Key, WaitingFor]
) -> list[dict[str, Any]]:
    states = causes.find_states(plan, run)
    by_step: dict[str, list[runs.Place]] = {name: [] for name in plan.steps}
    for place in places.values():
        by_step[place.instance.step].append(place)
    return [_describe_step(name, states[name], of_it, waiting) for name, of_it in by_step.items()]


def _describe_step(
    name: str, state: str, places: list[runs.Place], waiting: Mapping[Key, WaitingFor]
) -> dict[str, Any]:
    items = [place for place in places if place.instance.index is not None]
    if places and not items:
        return {"name": name, **_describe_instance(places[0], waiting)}
    wait = _describe_wait(waiting.get((name, None)))
    step = {"name": name, "state": state, "job_id": None, "attempt": 0, "error": None, "waiting_for": wait}
    if not items:
        return step
    items.sort(key=lambda place: (_URGENCY.index(place.instance.state), place.instance.index))
    shown = [{"index": place.instance.index, **_describe_instance(place, waiting)} for place in items[:_SHOWN_ITEMS]]
    counts = dict(collections.Counter(place.instance.state for place in items))
    return {**step, "items": counts, "shown": shown}


def _describe_instance(place: runs.Place, waiting: Mapping[Key, WaitingFor]) -> dict[str, Any]:
    instance = place.instance
    return {
        "state": instance.state,
        "job_id": place.job_id,
        "attempt": instance.attempt,
        "error": instance.error,
        "waiting_for": _describe_wait(waiting.get(instance.key)),
    }


def _describe_wait(waits: WaitingFor | None) -> dict[str, Any] | None:
    return None if waits is None else {**dataclasses.asdict(waits), "since": clock.to_text(waits.since)}
