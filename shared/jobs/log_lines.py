"""The lines of jobs: what was logged while they were worked on, in the order of their numbers.

A line's number tells under which claim it was written, and the how manieth it is there: so a worker counts its lines
without asking, one that is written twice is there once, and nobody writes before a line that was read. Docs:
docs/decisions/jobs.md, "What a job logs is kept with it, and a job that logs nothing costs nothing".
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, database
from shared.jobs import json_rows, tables
from shared.jobs.states import State

_jobs, _lines = tables.jobs, tables.job_logs

NUMBERS_PER_CLAIM = 1_000_000
"""The number of a line is its claim's times this, plus its place: a worker's own lines count from 0."""
LAST_PLACES = {"lines_dropped": NUMBERS_PER_CLAIM - 3, "job_worker_lost": NUMBERS_PER_CLAIM - 2}
"""The places of lines that come after all others of their claim; a job's end comes after these."""
END_PLACE = NUMBERS_PER_CLAIM - 1
MAX_LINES, MAX_BYTES = 1_000, 64 * 1024
"""What one claim may write at most."""
KEPT_CLAIMS = 5
"""As many lines and bytes as this many claims may write are kept of a job."""
_EARLIER_DROPPED = "earlier_lines_dropped"


@dataclasses.dataclass(frozen=True)
class Source:
    """Whose lines they are: a job, the claim under which a worker holds it, and the attempt that clients see."""

    job_id: str
    tenant_id: str
    claim: int
    attempt: int


@dataclasses.dataclass(frozen=True)
class Line:
    """A line that is to be kept; `age_ms` is how long ago it was logged."""

    place: int
    age_ms: int
    level: str
    message: str
    fields: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Page:
    """A job, as far as its lines need it, and lines of it; `None` as the job means that there is no such job."""

    job: sa.Row[Any] | None
    lines: Sequence[sa.Row[Any]]


_TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "number": sa.BigInteger(),
    "age_ms": sa.BigInteger(),
    "level": sa.String(16),
    "message": sa.Text(),
    "fields": tables.JSON,
}
_COLUMNS = ("tenant_id", "job_id", "number", "attempt", "at", "level", "message", "fields")


@functools.cache
def _append(dialect: str, *, while_running: bool) -> Any:
    lines, columns = json_rows.unpack(dialect, "lines", _TYPES)
    query = sa.select(
        sa.bindparam("tenant", type_=sa.String),
        sa.bindparam("job", type_=sa.String),
        columns["number"],
        sa.bindparam("attempt", type_=sa.Integer),
        clock.now_ms() - columns["age_ms"],
        *(columns[name] for name in ("level", "message", "fields")),
    )
    if while_running:
        query = (
            query.select_from(sa.join(_jobs, lines, sa.true()))
            .where(
                _jobs.c.id == sa.bindparam("job"),
                _jobs.c.attempt == sa.bindparam("claim", type_=sa.Integer),
                tables.owned_by(sa.bindparam("tenant", type_=sa.String)),
                tables.still(State.RUNNING),
            )
            # Nobody takes the job away before these lines are there.
            .with_for_update(read=True, of=_jobs)
        )
    else:
        # SQLite reads the ON of ON CONFLICT as a join's, unless a WHERE comes before it.
        query = query.select_from(lines).where(sa.literal_column("1 = 1"))
    return database.insert_for(dialect, _lines).from_select(list(_COLUMNS), query).on_conflict_do_nothing()


def append(connection: sa.Connection, source: Source, lines: Sequence[Line]) -> None:
    """Keep lines of a job, in the transaction that has just changed its row under the source's claim."""
    _write(connection, source, lines, while_running=False)


def append_while_running(connection: sa.Connection, source: Source, lines: Sequence[Line]) -> None:
    """Keep lines of a job that is still worked on under the source's claim; if it is not, nothing is kept."""
    _write(connection, source, lines, while_running=True)


def _write(connection: sa.Connection, source: Source, lines: Sequence[Line], *, while_running: bool) -> None:
    base = source.claim * NUMBERS_PER_CLAIM
    rows = [
        {
            "number": base + line.place,
            "age_ms": line.age_ms,
            "level": line.level,
            "message": line.message,
            "fields": line.fields,
        }
        for line in lines
    ]
    given = {"job": source.job_id, "tenant": source.tenant_id, "attempt": source.attempt, "lines": rows}
    statement = _append(connection.dialect.name, while_running=while_running)
    connection.execute(statement, given | ({"claim": source.claim} if while_running else {}))


def note_losses(connection: sa.Connection, job_ids: Sequence[str]) -> None:
    """Say of jobs that their workers were lost, in the transaction that has taken them away from these."""
    if not job_ids:
        return
    place = LAST_PLACES["job_worker_lost"]
    number = sa.cast(_jobs.c.attempt, sa.BigInteger) * NUMBERS_PER_CLAIM + place
    losses = sa.select(
        _jobs.c.tenant_id,
        _jobs.c.id,
        number,
        _jobs.c.attempt - _jobs.c.turns,
        clock.now_ms(),
        sa.literal("warning"),
        sa.literal("job_worker_lost"),
        sa.literal({}, tables.JSON),
    ).where(_jobs.c.id.in_(job_ids))
    connection.execute(database.insert(connection, _lines).from_select(list(_COLUMNS), losses).on_conflict_do_nothing())


def trim(connection: sa.Connection, *, tenant_id: str, job_id: str) -> None:
    """Drop a job's oldest lines when it has too many, and say in the place of the last of them how many were dropped.

    So whoever has not read them yet learns of it.
    """
    size = sa.func.length(_lines.c.message) + sa.func.length(sa.cast(_lines.c.fields, sa.Text))
    is_mark = _lines.c.message == _EARLIER_DROPPED
    of_job = (_lines.c.tenant_id == tenant_id, _lines.c.job_id == job_id)
    newest_first = connection.execute(
        sa.select(
            _lines.c.number,
            _lines.c.attempt,
            size.label("bytes"),
            sa.case((is_mark, _lines.c.fields["dropped"].as_integer()), else_=1).label("lines"),
        )
        .where(*of_job)
        .order_by(_lines.c.number.desc())
    ).all()
    total_bytes = 0
    for kept, row in enumerate(newest_first):
        total_bytes += row.bytes
        if kept >= KEPT_CLAIMS * MAX_LINES or total_bytes > KEPT_CLAIMS * MAX_BYTES:
            dropped = sum(older.lines for older in newest_first[kept:])
            connection.execute(sa.delete(_lines).where(*of_job, _lines.c.number <= row.number))
            source = Source(job_id, tenant_id, row.number // NUMBERS_PER_CLAIM, row.attempt)
            mark = Line(row.number % NUMBERS_PER_CLAIM, 0, "warning", _EARLIER_DROPPED, {"dropped": dropped})
            return append(connection, source, [mark])
    return None


def delete(connection: sa.Connection, jobs: Sequence[tuple[str, str]]) -> None:
    """Delete the lines of jobs, which are given by their tenants and ids."""
    if jobs:
        connection.execute(
            sa.delete(_lines).where(
                _lines.c.tenant_id == sa.bindparam("tenant"),
                _lines.c.job_id == sa.bindparam("job"),
            ),
            [{"tenant": tenant_id, "job": job_id} for tenant_id, job_id in jobs],
        )


@functools.cache
def _read(*, of_attempt: bool) -> sa.Select[Any]:
    chosen = (
        sa.select(_lines.c.number, *(_lines.c[name] for name in _COLUMNS[3:]))
        .where(
            _lines.c.tenant_id == sa.bindparam("tenant"),
            _lines.c.job_id == sa.bindparam("job"),
            _lines.c.number > sa.bindparam("after", type_=sa.BigInteger),
        )
        .order_by(_lines.c.number)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )
    if of_attempt:
        chosen = chosen.where(_lines.c.attempt == sa.bindparam("of_attempt", type_=sa.Integer))
    line = chosen.subquery("line")
    shown = (_jobs.c[name] for name in ("state", "turns", "started_at", "finished_at", "error_type"))
    return (
        sa.select(_jobs.c.attempt.label("claims"), *shown, *line.c)
        .select_from(_jobs.outerjoin(line, sa.true()))
        .where(
            _jobs.c.id == sa.bindparam("job"),
            tables.owned_by(sa.bindparam("tenant")),
        )
    )


def read(
    connection: sa.Connection, job_id: str, *, tenant_id: str, after: int, limit: int, attempt: int | None
) -> Page:
    """Read a job and its lines behind a number, the oldest first, all as of one moment."""
    given = {"job": job_id, "tenant": tenant_id, "after": after, "most": limit}
    if attempt is not None:
        given["of_attempt"] = attempt
    rows = connection.execute(_read(of_attempt=attempt is not None), given).all()
    lines = sorted((row for row in rows if row.number is not None), key=lambda row: row.number)
    return Page(rows[0] if rows else None, lines)
