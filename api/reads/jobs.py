"""Jobs of all roles: one by its id, and pages of many, newest first."""

import dataclasses
from typing import Any

from api.reads import cursors
from shared import database, errors, ids, roles
from shared.jobs import views
from shared.jobs.states import State

_ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter:
    """Which jobs a list shows; None means any."""

    role: str | None = None
    kind: str | None = None
    state: State | None = None
    tag: str | None = None


def find(databases: database.Databases, tenant_id: str, job_id: str) -> views.Row:
    """Read a job; raises NotFoundError, also for another tenant's."""
    role = ids.role_of(job_id)
    if role not in roles.ROLES:
        raise errors.NotFoundError(f"There is no job {job_id[:80]!r}; a job's id looks like `training_01J…`.")
    with database.available(role):
        row = views.read(databases[role].reader, job_id, tenant_id=tenant_id)
    if row is None:
        raise errors.NotFoundError(f"There is no job {job_id[:80]!r}.")
    return row


def page(
    databases: database.Databases, tenant_id: str, wanted: Filter, *, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Read a page of jobs, newest first; a role whose database is down is left out and named."""
    chosen = views.Filter(
        tenant_id=tenant_id,
        kind=wanted.kind,
        state=wanted.state,
        tag=wanted.tag,
        before=cursors.unpack(cursor, pattern=_ULID),
    )
    rows, unavailable = _of_roles(databases, _roles(wanted), chosen, limit=limit + 1)
    rows.sort(key=lambda row: ids.ulid_of(row.id), reverse=True)
    more, shown = len(rows) > limit, rows[:limit]
    return {
        "jobs": [views.to_document(row) for row in shown],
        "next_cursor": cursors.pack(ids.ulid_of(shown[-1].id)) if more else None,
        "unavailable": unavailable,
    }


def _roles(wanted: Filter) -> list[str]:
    known = list(roles.ROLES)
    if wanted.role is not None and wanted.role not in known:
        problem = errors.Problem(f"{wanted.role!r} is no role; these are: {', '.join(known)}", "#/role")
        raise errors.InvalidRequestError(f"There is no role {wanted.role!r}.", problems=[problem])
    by_kind = wanted.kind.partition(".")[0] if wanted.kind else None
    return [role for role in known if wanted.role in {None, role} and by_kind in {None, role}]


def _of_roles(
    databases: database.Databases, chosen: list[str], wanted: views.Filter, *, limit: int
) -> tuple[list[views.Row], list[str]]:
    """Read a page of each role, and name the roles whose database is down."""
    rows: list[views.Row] = []
    unavailable = []
    for role in chosen:
        try:
            with databases[role].statements.connect() as connection:
                rows += views.read_page(connection, wanted, role=role, limit=limit)
        except database.FAULTS:
            unavailable.append(role)
    if chosen and len(unavailable) == len(chosen):
        raise errors.UnavailableError(
            f"No database of these roles can be reached: {', '.join(unavailable)}.", retry_after_seconds=5
        )
    return rows, unavailable
