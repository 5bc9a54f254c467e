"""What a run begins with: its pipeline and parameters, and what it takes over from a run that it resumes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from shared import clock, errors
from shared.orchestration import runs, versions
from shared.orchestration.contract import RunPipeline
from shared.orchestration.language import parameters, resuming
from shared.orchestration.language.document import Pipeline
from shared.orchestration.language.runs import Key, Run


@dataclasses.dataclass(frozen=True)
class Beginning:
    """A run before its first turn."""

    version: int
    pipeline: Pipeline
    params: dict[str, Any]
    places: dict[Key, runs.Place]
    """What it takes over."""
    at: int | None = None
    """The moment that it is about, in epoch milliseconds; None: when it begins."""


def make(
    connection: sa.Connection, command: RunPipeline, *, tenant_id: str, version: int | None, pointer: str = "#/params"
) -> Beginning:
    """Make what a run begins with; `version` is the number that it was pinned to, None for that of the command.

    `pointer` is that of the run's parameters. Raises NotFoundError, InvalidRequestError, and ConflictError for a run
    that can't be resumed.
    """
    number = command.version if version is None else version
    if version is None:
        row = versions.require(connection, command.pipeline, tenant_id=tenant_id, version=number)
    else:
        # A pipeline that is retired meanwhile is still carried out.
        row = _require_kept(versions.find(connection, command.pipeline, tenant_id=tenant_id, version=number), command)
    pipeline = Pipeline.model_validate(row.document)
    if command.resumes is None:
        params = parameters.bind(pipeline, command.params, pointer=pointer)
        return Beginning(row.version, pipeline, params, {}, _to_ms(command))
    return _resume(connection, command, row.version, pipeline, tenant_id=tenant_id)


def _require_kept(row: sa.Row[Any] | None, command: RunPipeline) -> sa.Row[Any]:
    if row is None:
        raise errors.PermanentError(f"The pipeline {command.pipeline} isn't there any more.")
    return row


def _resume(
    connection: sa.Connection, command: RunPipeline, version: int, pipeline: Pipeline, *, tenant_id: str
) -> Beginning:
    earlier = runs.find(connection, command.resumes or "", tenant_id=tenant_id)
    if earlier is None or earlier.pipeline != command.pipeline:
        raise errors.NotFoundError(
            f"{command.pipeline} has no run {(command.resumes or '')[:80]!r} that has begun; begin a new one."
        )
    if earlier.ended_at is None:
        raise errors.ConflictError(f"{earlier.id} is still under way; cancel it first, or wait for its end.")
    before = Pipeline.model_validate(earlier.document)
    is_same = version == earlier.version
    places = runs.read_places(connection, earlier.id, tenant_id=tenant_id)
    run = Run(
        id=earlier.id,
        params=earlier.params,
        instances=[place.instance for place in places.values()],
        now=clock.read(connection),
    )
    edits = command.edits.model_copy(update={"params": {**command.edits.params, **command.params}})
    # With the same version, what was edited for the earlier run stays edited.
    resumed = resuming.resume(before if is_same else pipeline, run, edits, previous=None if is_same else before)
    at = earlier.at or earlier.started_at
    return Beginning(version, resumed.pipeline, resumed.params, _take_over(places, resumed), _to_ms(command) or at)


def _to_ms(command: RunPipeline) -> int | None:
    return None if command.at is None else int(command.at.timestamp() * 1000)


def _take_over(places: Mapping[Key, runs.Place], resumed: resuming.Resumption) -> dict[Key, runs.Place]:
    """Return the instances as the new run begins with them: those that are done again wait, with their items."""
    kept = {key: place for key, place in places.items() if key not in set(resumed.drops)}
    for key in resumed.resets:
        if key in kept:
            instance = kept[key].instance
            kept[key] = runs.Place(type(instance)(step=instance.step, index=instance.index, item=instance.item))
    return kept
