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


def find(databases: database.Databases, tenant_id: str, job_id: str) -> views.ShownJob:
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
    databases: database.Databases, tenant_id: str, criteria: Filter, *, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Read a page of jobs, newest first; a role whose database is down is left out and named."""
    tenant_criteria = views.Filter(
        tenant_id=tenant_id,
        kind=criteria.kind,
        state=criteria.state,
        tag=criteria.tag,
        before=cursors.unpack(cursor, pattern=_ULID),
    )
    rows, unavailable = _read_roles(databases, _matching_roles(criteria), tenant_criteria, limit=limit + 1)
    rows.sort(key=lambda row: ids.ulid_of(row.id), reverse=True)
    has_more, shown = len(rows) > limit, rows[:limit]
    return {
        "jobs": [views.to_document(row) for row in shown],
        "next_cursor": cursors.pack(ids.ulid_of(shown[-1].id)) if has_more else None,
        "unavailable": unavailable,
    }


def _matching_roles(criteria: Filter) -> list[str]:
    all_roles = list(roles.ROLES)
    if criteria.role is not None and criteria.role not in all_roles:
        problem = errors.Problem(f"{criteria.role!r} is not a role; the roles are: {', '.join(all_roles)}", "#/role")
        raise errors.InvalidRequestError(f"There is no role {criteria.role!r}.", problems=[problem])
    role_of_kind = criteria.kind.partition(".")[0] if criteria.kind else None
    return [role for role in all_roles if criteria.role in {None, role} and role_of_kind in {None, role}]


def _read_roles(
    databases: database.Databases, role_names: list[str], criteria: views.Filter, *, limit: int
) -> tuple[list[views.ShownJob], list[str]]:
    """Read a page of jobs from each role; returns the rows, and the roles whose database is down."""
    rows: list[views.ShownJob] = []
    unavailable = []
    for role in role_names:
        try:
            with databases[role].statements.connect() as connection:
                rows += views.read_page(connection, criteria, role=role, limit=limit)
        except database.FAULTS:
            unavailable.append(role)
    if role_names and len(unavailable) == len(role_names):
        raise errors.UnavailableError(
            f"No database of these roles can be reached: {', '.join(unavailable)}.", retry_after_seconds=5
        )
    return rows, unavailable
