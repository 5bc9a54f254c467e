"""Places in a role's queue: by priority, and within a priority fairly between tenants.

A place is the distance from the highest priority, then the job's virtual start, then the job's ULID. The smallest place
is claimed first. A job's virtual start is one after its tenant's previous one, but not before the job that would be
claimed now: so who queues many jobs reaches far into the future, and who comes later begins at the present. See
docs/decisions/jobs.md, "Tenants take turns by a virtual start that a job gets when it is accepted".
"""

import collections
from collections.abc import Iterable
from typing import Any, Protocol

import sqlalchemy as sa

from shared import clock, ids
from shared.jobs import tables
from shared.jobs.states import State

_HIGHEST_PRIORITY = 9
_ULID_CHARACTERS = 25
"""All but the last, so that a place fills its column: it only tells jobs apart whose virtual starts are equal."""
# Constants stand in the statement itself, because each parameter costs time at every execution.
_ZERO, _ONE = (sa.literal_column(digit, sa.BigInteger) for digit in "01")
_FIRST_START, _LAST_START = (sa.literal_column(f"'{digit}'", sa.String) for digit in "19")
"""Starts begin with these digits, until the year 2255; earlier releases had a 0 there."""
_QUEUED: sa.ColumnElement[str] = sa.literal_column(f"'{State.QUEUED}'")


class _Job(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def tenant_id(self) -> str: ...
    @property
    def priority(self) -> int: ...


def prepare(jobs: Iterable[_Job]) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Prepare what SQL needs to place jobs: by job id what it needs of that job, and the flows that it looks up once.

    A flow is a tenant's jobs of one priority.
    """
    flows: dict[tuple[str, int], int] = {}
    ranks: collections.Counter[str] = collections.Counter()
    by_id = {}
    # By id, so that the newest of a tenant's queued jobs has its latest start.
    for job in sorted(jobs, key=lambda job: job.id):
        by_id[job.id] = {
            "flow": flows.setdefault((job.tenant_id, job.priority), len(flows)),
            "rank": ranks[job.tenant_id],
            "ulid": ids.ulid_of(job.id)[:_ULID_CHARACTERS],
        }
        ranks[job.tenant_id] += 1
    return by_id, [
        {"flow": number, "tenant_id": tenant_id, "level": _level(priority)}
        for (tenant_id, priority), number in flows.items()
    ]


def _level(priority: int) -> str:
    # What is behind all that clients submit needs a second character that is greater than the others' by any collation.
    return f"{_HIGHEST_PRIORITY - priority}_" if priority >= 0 else f"{_HIGHEST_PRIORITY}z"


FLOW_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "flow": sa.Integer(),
    "tenant_id": tables.jobs.c.tenant_id.type,
    "level": sa.String(2),
}
JOB_TYPES: dict[str, sa.types.TypeEngine[Any]] = {"flow": sa.Integer(), "rank": sa.BigInteger(), "ulid": sa.String(40)}


def starts(flows: sa.FromClause, columns: dict[str, sa.ColumnElement[Any]]) -> sa.CTE:
    """Build the query for the flows' next virtual starts, which reads one row of an index for each of two bounds."""
    now = clock.now_ms()
    queued, first = tables.jobs.alias("newest"), tables.jobs.alias("head")
    has_start = sa.func.substr(queued.c.place, sa.literal_column("3"), _ONE) == _FIRST_START
    # No other state sorts between, so this is the newest queued job, if there is one. Written so, only the index of
    # tenants and states has the order; with `state = 'queued'` PostgreSQL may read ended jobs, from the newest on.
    latest_of_tenant = (
        sa.select(sa.case((sa.and_(queued.c.state == _QUEUED, has_start), _start_of(queued.c.place)), else_=None))
        .where(
            queued.c.tenant_id == columns["tenant_id"],
            queued.c.state <= _QUEUED,
        )
        .order_by(queued.c.state.desc(), queued.c.id.desc())
        .limit(_ONE)
        .scalar_subquery()
    )
    # Jobs that rest or wait to be tried again are older than the present, and would let newcomers pass everybody.
    present = (
        sa.select(_start_of(first.c.place))
        .where(
            first.c.state == _QUEUED,
            first.c.run_after <= now,
            first.c.place > columns["level"].concat(_FIRST_START),
            first.c.place < columns["level"].concat(_LAST_START),
        )
        .order_by(first.c.place)
        .limit(_ONE)
        .scalar_subquery()
    )
    after_own = sa.func.coalesce(latest_of_tenant + _ONE, _ZERO)
    # Once for all flows, between which the clock would go on.
    at_present = sa.func.coalesce(present, clock.now_ms_once())
    candidates = sa.select(
        columns["flow"].label("flow"),
        columns["level"].label("level"),
        after_own.label("after_own"),
        at_present.label("at_present"),
    ).select_from(flows)
    return candidates.cte("starts").prefix_with("MATERIALIZED")


def place(starts: sa.CTE, columns: dict[str, sa.ColumnElement[Any]]) -> sa.ScalarSelect[str]:
    """Build a job's place from its flow's next virtual start.

    It is no join, because rows must be inserted in the order in which they are given.
    """
    start = sa.case((starts.c.after_own > starts.c.at_present, starts.c.after_own), else_=starts.c.at_present)
    return (
        sa.select(starts.c.level.concat(sa.cast(start + columns["rank"], sa.String)).concat(columns["ulid"]))
        .where(starts.c.flow == columns["flow"])
        .scalar_subquery()
    )


def _start_of(place: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """Read the virtual start from a place: 13 digits, because it has the size of epoch milliseconds."""
    return sa.cast(sa.func.substr(place, sa.literal_column("3"), sa.literal_column("13")), sa.BigInteger)
