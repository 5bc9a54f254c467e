"""The rows of runs: what each was given, and how far its steps are."""

import dataclasses
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa

from shared import clock, database, ids, roles
from shared.jobs import ledger, tables
from shared.jobs.states import TERMINAL, State
from shared.orchestration.language.runs import Instance, Key
from shared.orchestration.tables import run_steps, runs

jobs = tables.jobs
_NO_NUMBER = -1
_RETRY_MS = 60_000


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """An instance of a step, with the job that does it."""

    instance: Instance
    job_id: str | None = None
    submission: dict[str, Any] | None = None
    """The job that is about to be submitted, until its id is known."""


def find(connection: sa.Connection, run_id: str, *, tenant_id: str) -> sa.Row[Any] | None:
    """Read a run; None when it has not begun, or there is none."""
    query = sa.select(runs, clock.now_ms().label("now")).where(runs.c.id == run_id, runs.c.tenant_id == tenant_id)
    return connection.execute(query).one_or_none()


def begin(connection: sa.Connection, **values: Any) -> None:
    """Keep that a run begins now; `values` are its columns but for the times."""
    now = clock.now_ms()
    connection.execute(
        database.insert(connection, runs).values(**values, started_at=now, looked_at=now).on_conflict_do_nothing()
    )


def update(connection: sa.Connection, run_id: str, *, tenant_id: str, **values: Any) -> None:
    """Change what is kept of a run."""
    connection.execute(sa.update(runs).where(runs.c.id == run_id, runs.c.tenant_id == tenant_id).values(**values))


def read_places(connection: sa.Connection, run_id: str, *, tenant_id: str) -> dict[Key, Place]:
    """Read the instances of a run's steps, in the order of their numbers."""
    rows = connection.execute(
        sa.select(run_steps)
        .where(
            run_steps.c.run_id == run_id,
            run_steps.c.tenant_id == tenant_id,
        )
        .order_by(run_steps.c.step, run_steps.c.number)
    )
    places = [_to_place(row) for row in rows]
    return {place.instance.key: place for place in places}


_INSTANCE_COLUMNS = tuple(field.name for field in dataclasses.fields(Instance) if field.name != "index")


def _to_place(row: sa.Row[Any]) -> Place:
    values = {name: getattr(row, name) for name in _INSTANCE_COLUMNS}
    index = None if row.number == _NO_NUMBER else row.number
    # SQLite would take a bare number in a JSON column for one of SQL.
    values["item"] = row.item[0] if row.item else None
    return Place(Instance(index=index, **values), job_id=row.step_job_id, submission=row.submission)


def write_places(connection: sa.Connection, run_id: str, places: Iterable[Place], *, tenant_id: str) -> None:
    """Write instances of a run's steps, new ones and others."""
    rows = [_to_row(place) | {"run_id": run_id, "tenant_id": tenant_id} for place in places]
    if not rows:
        return
    statement = database.insert(connection, run_steps)
    kept = {"run_id", "step", "number", "tenant_id"}
    changed = {name: statement.excluded[name] for name in rows[0] if name not in kept}
    # The key is one of a tenant's alone, since a run's id is.
    upsert = statement.on_conflict_do_update(index_elements=["run_id", "step", "number"], set_=changed)
    connection.execute(upsert, rows)


def _to_row(place: Place) -> dict[str, Any]:
    instance = place.instance
    return {
        **{name: getattr(instance, name) for name in _INSTANCE_COLUMNS},
        "number": _NO_NUMBER if instance.index is None else instance.index,
        "item": None if instance.item is None else [instance.item],
        "step_job_id": place.job_id,
        "submission": place.submission,
    }


def wake_runs(connection: sa.Connection, stories: Collection[tuple[str, str]]) -> int:
    """Let the runs of stories take their next turn, since jobs of these have ended; returns how many there are.

    A story is given by its tenant and its correlation id.

    It wakes them as the end of a child wakes its parent: see `shared.jobs.offspring`.
    """
    now = clock.now_ms()
    is_resting = jobs.c.error_type.is_(None)
    conductors = sa.select(sa.func.coalesce(runs.c.conducted_by, "")).where(
        runs.c.ended_at.is_(None),
        # Joined by OR, because for tuples SQLite reads the whole table.
        sa.or_(
            *(
                sa.and_(runs.c.tenant_id == tenant_id, runs.c.correlation_id == correlation_id)
                for tenant_id, correlation_id in sorted(stories)
            )
        ),
    )
    woken = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id.in_(conductors),
            tables.still(State.QUEUED, State.RUNNING),
        )
        .values(
            wakes=jobs.c.wakes + 1,
            run_after=sa.case((is_resting, now), else_=jobs.c.run_after),
            ring_after=sa.case((is_resting, now), else_=jobs.c.ring_after),
        )
    )
    return woken.rowcount


def give_up(connection: sa.Connection, run_id: str, *, tenant_id: str) -> int:
    """End a run that can't be carried out, and cancel its steps that have not ended; returns how many these are."""
    cancelled = connection.execute(
        sa.update(run_steps)
        .where(
            run_steps.c.run_id == run_id,
            run_steps.c.tenant_id == tenant_id,
            run_steps.c.state.in_(("waiting", "running")),
        )
        .values(state="cancelled", submission=None)
    )
    update(connection, run_id, tenant_id=tenant_id, ended_at=clock.now_ms())
    return cancelled.rowcount


def wind_up_abandoned(connection: sa.Connection, *, kind: str, limit: int = 100) -> list[str]:
    """Let runs be wound up that have ended while their steps have not: cancelled, late or lost; returns their ids.

    Each gets a job of a kind that is given the run and takes over its turns.
    """
    conductor = jobs.alias("conductor")
    found = connection.execute(
        sa.select(runs.c.id, runs.c.tenant_id, runs.c.created_by, runs.c.correlation_id, runs.c.conducted_by)
        .outerjoin(conductor, conductor.c.id == runs.c.conducted_by)
        .where(
            runs.c.ended_at.is_(None),
            sa.or_(
                conductor.c.id.is_(None),
                sa.and_(
                    conductor.c.state.in_(sorted(TERMINAL)),
                    # One that couldn't wind the run up is followed by another after a while.
                    sa.or_(runs.c.conducted_by == runs.c.id, conductor.c.finished_at < clock.now_ms_once() - _RETRY_MS),
                ),
            ),
        )
        .limit(limit)
    ).all()
    return [run.id for run in found if _wind_up(connection, run, kind=kind)]


def _wind_up(connection: sa.Connection, run: Any, *, kind: str) -> bool:
    role = kind.partition(".")[0]
    job = ledger.NewJob(
        id=ids.new_job_id(role),
        tenant_id=run.tenant_id,
        kind=kind,
        params={"run": run.id},
        pinned={},
        submitted_by=run.created_by,
        tries_left=roles.ROLES[role].tries,
        correlation_id=run.correlation_id,
    )
    taken = connection.execute(
        sa.update(runs)
        .where(
            runs.c.id == run.id,
            runs.c.tenant_id == run.tenant_id,
            # Another sweeper may have been first.
            runs.c.conducted_by == run.conducted_by,
        )
        .values(conducted_by=job.id)
    )
    if taken.rowcount == 1:
        ledger.accept(connection, [job], ring_again_seconds=0)
    return taken.rowcount == 1


def forget_deleted(connection: sa.Connection, *, limit: int = 1000) -> int:
    """Forget ended runs whose jobs were deleted as old ones; returns how many."""
    is_kept = sa.exists().where(jobs.c.id == runs.c.id)
    old = connection.execute(sa.select(runs.c.id).where(runs.c.ended_at.isnot(None), ~is_kept).limit(limit))
    run_ids = list(old.scalars())
    if run_ids:
        connection.execute(sa.delete(run_steps).where(run_steps.c.run_id.in_(run_ids)))
        connection.execute(sa.delete(runs).where(runs.c.id.in_(run_ids)))
    return len(run_ids)
