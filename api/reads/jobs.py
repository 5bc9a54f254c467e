"""Jobs of all roles: one by its id, pages of many, newest first, and the lines of one, oldest first."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from api.reads import criteria, cursors
from shared import clock, database, errors, ids, roles
from shared.jobs import log_lines, pages, references, views
from shared.jobs.states import State

_ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter:
    """Which jobs a list shows; None means any."""

    role: str | None = None
    kind: str | None = None
    state: State | None = None
    tag: str | None = None
    model: criteria.Reference | None = None
    dataset: criteria.Reference | None = None
    period: criteria.Period = criteria.ANY_TIME


def find(databases: database.Databases, tenant_id: str, job_id: str) -> views.ShownJob:
    """Read a job; raises NotFoundError, also for another tenant's."""
    role = _find_role(job_id)
    with database.available(role):
        row = views.read(databases[role].reader, job_id, tenant_id=tenant_id)
    if row is None:
        raise _no_job(job_id)
    return row


def _find_role(job_id: str) -> str:
    role = ids.role_of(job_id)
    if role not in roles.ROLES:
        raise errors.NotFoundError(f"There is no job {job_id[:80]!r}; a job's id looks like `training_01J…`.")
    return role


def _no_job(job_id: str) -> errors.NotFoundError:
    return errors.NotFoundError(f"There is no job {job_id[:80]!r}.")


def read_log(
    databases: database.Databases, tenant_id: str, job_id: str, *, after: int, limit: int, attempt: int | None
) -> dict[str, Any]:
    """Read a job's lines behind a number; raises NotFoundError, also for another tenant's.

    Its first start and its end are no rows: docs/decisions/jobs.md, "What a job logs is kept with it".
    """
    role = _find_role(job_id)
    with database.available(role), databases[role].statements.connect() as connection:
        log = log_lines.read(connection, job_id, tenant_id=tenant_id, after=after, limit=limit + 1, attempt=attempt)
    if log.job is None:
        raise _no_job(job_id)
    lines = {line.number: _to_line(line) for line in log.lines}
    for number, line in _build_lines(log.job).items():
        if number > after and attempt in {None, line["attempt"]}:
            lines.setdefault(number, line)
    shown = sorted(lines)[:limit]
    return {
        "lines": [lines[number] for number in shown],
        "next": f"{shown[-1] if shown else after}",
        "complete": State(log.job.state).is_terminal() and len(shown) == len(lines),
    }


def _to_line(row: Any) -> dict[str, Any]:
    return {
        "at": clock.to_text(row.at),
        "attempt": row.attempt,
        "level": row.level,
        "message": row.message,
        "fields": row.fields,
    }


def _build_lines(job: Any) -> dict[int, dict[str, Any]]:
    """Build the lines of a job's first start and of its end from its row, by their numbers."""
    lines: dict[int, dict[str, Any]] = {}
    line: dict[str, Any] = {"level": "info", "fields": {}}
    if job.started_at is not None:
        started = {"at": clock.to_text(job.started_at), "attempt": 1, "message": "job_started"}
        lines[log_lines.NUMBERS_PER_CLAIM] = line | started
    if State(job.state).is_terminal():
        ended = {"at": clock.to_text(job.finished_at), "attempt": job.claims - job.turns, "message": f"job_{job.state}"}
        is_failure = job.state in {State.FAILED, State.DEAD}
        why = {"level": "error", "fields": {"error": job.error_type}} if is_failure else {}
        lines[job.claims * log_lines.NUMBERS_PER_CLAIM + log_lines.END_PLACE] = line | ended | why
    return lines


def to_text(lines: list[dict[str, Any]]) -> str:
    """Write lines for a terminal, one below the other; what could control it is escaped."""
    return "".join(
        f"{line['at']} {line['level']:<8} [{line['attempt']}] {_escape(line['message'])}{_write(line['fields'])}\n"
        for line in lines
    )


def _write(fields: Mapping[str, Any]) -> str:
    return "".join(f" {_escape(name)}={_escape(f'{value}')}" for name, value in fields.items())


def _escape(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def page(
    databases: database.Databases, tenant_id: str, chosen: Filter, *, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Read a page of jobs, newest first; a role whose database is down is left out and named."""
    first, last = chosen.period.ulids()
    tenant_filter = views.Filter(
        tenant_id=tenant_id,
        kind=chosen.kind,
        state=chosen.state,
        tags=_list_tags(chosen),
        before=min(filter(None, (cursors.unpack(cursor, pattern=_ULID), last)), default=None),
        after=first,
        since=chosen.period.since,
        until=chosen.period.until,
    )
    found, unavailable = _list_ids(databases, _matching_roles(chosen), tenant_filter, limit=limit + 1)
    job_ids = sorted(itertools.chain.from_iterable(found.values()), key=ids.ulid_of, reverse=True)
    rows, end = _read_rows(databases, job_ids[:limit], unavailable)
    return {
        "jobs": [views.to_document(row) for row in rows],
        "next_cursor": cursors.pack(ids.ulid_of(job_ids[end - 1])) if end < len(job_ids) else None,
        "unavailable": unavailable,
    }


def _list_tags(chosen: Filter) -> list[str]:
    """List the tags that jobs must have, first those that fewer jobs are likely to have."""
    named = {references.MODEL: chosen.model, references.DATASET: chosen.dataset}
    of_versions = [references.tag_of(type_, one.label) for type_, one in named.items() if one and one.label]
    of_names = [references.tag_of(type_, one.name) for type_, one in named.items() if one and not one.label]
    return [*of_versions, *([] if chosen.tag is None else [chosen.tag]), *of_names]


def _matching_roles(chosen: Filter) -> list[str]:
    all_roles = list(roles.ROLES)
    if chosen.role is not None and chosen.role not in all_roles:
        problem = errors.Problem(f"{chosen.role!r} is not a role; the roles are: {', '.join(all_roles)}", "#/role")
        raise errors.InvalidRequestError(f"There is no role {chosen.role!r}.", problems=[problem])
    role_of_kind = chosen.kind.partition(".")[0] if chosen.kind else None
    return [role for role in all_roles if chosen.role in {None, role} and role_of_kind in {None, role}]


def _list_ids(
    databases: database.Databases, role_names: list[str], tenant_filter: views.Filter, *, limit: int
) -> tuple[dict[str, list[str]], list[str]]:
    """List the newest jobs of each role; returns their ids by role, and the roles whose database is down."""
    job_ids: dict[str, list[str]] = {}
    unavailable = []
    for role in role_names:
        try:
            with databases[role].statements.connect() as connection:
                job_ids[role] = views.list_ids(connection, tenant_filter, role=role, limit=limit)
        except database.FAULTS:
            unavailable.append(role)
    if role_names and len(unavailable) == len(role_names):
        raise errors.UnavailableError(
            f"No database of these roles can be reached: {', '.join(unavailable)}.", retry_after_seconds=5
        )
    return job_ids, unavailable


def _read_rows(
    databases: database.Databases, job_ids: list[str], unavailable: list[str]
) -> tuple[list[views.ShownJob], int]:
    """Read jobs in the order of their ids until they have too many bytes; returns them, and how many ids they are of.

    A role whose database has gone down meanwhile is added to the unavailable ones.
    """
    rows: dict[str, views.ShownJob] = {}
    end = len(job_ids)
    by_role: dict[str, list[int]] = {}
    for position, job_id in enumerate(job_ids):
        by_role.setdefault(ids.role_of(job_id) or "", []).append(position)
    for role, positions in by_role.items():
        try:
            with databases[role].statements.connect() as connection:
                read, cut_at = views.read_many(
                    connection,
                    [job_ids[position] for position in positions],
                    # Shared out beforehand, so that no more is ever held than one page may have.
                    max_bytes=pages.MAX_BYTES // len(by_role),
                )
        except database.FAULTS:
            unavailable.append(role)
            continue
        rows |= {row.id: row for row in read}
        end = end if cut_at is None else min(end, positions[cut_at])
    return [rows[job_id] for job_id in job_ids[:end] if job_id in rows], end
