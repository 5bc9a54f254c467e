"""The event log: what happened, of all roles, in one order, kept in the API's database.

A relay appends what a role has committed; whoever reads goes on behind the position up to which it has read. Positions
become visible in their order, because all who append hold one row until they commit: so nobody who has read up to a
position misses what is committed later below it. See docs/decisions/events.md, "One log, whose readers keep their own
place in it".
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from shared import clock, database
from shared.catalog import api_tables
from shared.jobs import json_rows, outbox, tables

events = api_tables.events
_heads = api_tables.event_heads
_LOG = "log"
_PRUNED = "pruned"
_MAX_DATA_BYTES = 48 * 1024
"""CloudEvents should fit into 64 KiB; what is larger is told by its subject alone."""
_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "position": sa.BigInteger(),
    "id": sa.Text(),
    "role": sa.Text(),
    "tenant_id": sa.Text(),
    "type": sa.Text(),
    "subject": sa.Text(),
    "correlation_id": sa.Text(),
    "data": tables.JSON,
    "created_at": sa.BigInteger(),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Logged:
    """An event as it stands in the log."""

    position: int
    id: str
    role: str
    tenant_id: str
    type: str
    """What happened, without our prefix: `job.succeeded`."""
    subject: str
    correlation_id: str
    """The id of the story that it belongs to."""
    data: dict[str, Any]
    created_at: int
    """When it was committed, in epoch milliseconds."""


READ = tuple(events.c[field.name] for field in dataclasses.fields(Logged))
"""The columns of an event."""


def hold_relay(connection: sa.Connection, role: str) -> bool:
    """Hold a role's relay until the transaction ends; False when another sweeper has it.

    Only so do the events of one subject keep their order where several sweepers run.
    """
    name = f"relay.{role}"
    held = sa.select(_heads.c.name).where(_heads.c.name == name).with_for_update(skip_locked=True)
    if connection.execute(held).first() is not None:
        return True
    insert = database.insert(connection, _heads).values(name=name, position=0).on_conflict_do_nothing()
    return connection.execute(insert.returning(_heads.c.name)).first() is not None


def append(connection: sa.Connection, outgoing: Sequence[outbox.OutgoingEvent], *, role: str) -> None:
    """Append events in their order, as the last statements of a transaction; those that are there stay as they are."""
    if not outgoing:
        return
    last = connection.execute(
        sa.update(_heads)
        .where(_heads.c.name == _LOG)
        .values(position=_heads.c.position + len(outgoing))
        .returning(_heads.c.position)
    ).scalar_one()
    first = last - len(outgoing) + 1
    rows = [_to_row(event, role=role, position=first + index) for index, event in enumerate(outgoing)]
    connection.execute(_append(connection.dialect.name), {"rows": rows})


def _to_row(event: outbox.OutgoingEvent, *, role: str, position: int) -> dict[str, Any]:
    # The pin is only for our own mirror of names; a receiver looks the subject up instead.
    data = {key: value for key, value in event.data.items() if key != "pin"}
    size = len(orjson.dumps(data))
    return {
        "position": position,
        "id": event.id,
        "role": role,
        "tenant_id": event.tenant_id,
        "type": event.type,
        "subject": event.subject,
        "correlation_id": event.correlation_id,
        "data": data if size <= _MAX_DATA_BYTES else {"left_out_bytes": size},
        "created_at": event.created_at,
    }


@functools.cache
def _append(dialect: str) -> sa.sql.dml.Insert:
    rows, columns = json_rows.unpack(dialect, "rows", _COLUMNS)
    values = {**columns, "logged_at": clock.now_ms()}
    return (
        database.insert_for(dialect, events)
        # SQLite reads the ON of ON CONFLICT as a join's, unless a WHERE comes before it.
        .from_select(list(values), sa.select(*values.values()).select_from(rows).where(sa.literal_column("1 = 1")))
        .on_conflict_do_nothing(index_elements=[events.c.id])
    )


@functools.cache
def _read_after() -> sa.Select[Any]:
    return (
        sa.select(*READ)
        .where(events.c.position > sa.bindparam("after", type_=sa.BigInteger))
        .order_by(events.c.position)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


def read_after(connection: sa.Connection, position: int, *, limit: int) -> list[Logged]:
    """Read the events behind a position, of all tenants, in the order of the log."""
    return to_logged(connection.execute(_read_after(), {"after": position, "limit": limit}))


def to_logged(rows: Iterable[sa.Row[Any]]) -> list[Logged]:
    """Convert rows of the columns `READ`."""
    return [Logged(**row._mapping) for row in rows]


def last_position(connection: sa.Connection) -> int:
    """Read the position behind which the next event will stand."""
    return _read_head(connection, _LOG)


def pruned_position(connection: sa.Connection) -> int:
    """Read the position up to which events may have been pruned."""
    return _read_head(connection, _PRUNED)


def _read_head(connection: sa.Connection, name: str) -> int:
    position: int = connection.execute(sa.select(_heads.c.position).where(_heads.c.name == name)).scalar_one()
    return position


def prune(connection: sa.Connection, *, retention_seconds: float, limit: int) -> int:
    """Delete the oldest events that were logged longer ago than that, at most so many; returns how many.

    What a cursor has not read yet stays.
    """
    logged_before = clock.now_ms_once() - int(retention_seconds * 1000)
    unread = sa.select(sa.func.min(api_tables.event_cursors.c.position)).scalar_subquery()
    oldest = connection.execute(
        sa.select(events.c.position, (events.c.logged_at < logged_before).label("is_old"))
        .where(events.c.position <= unread)
        .order_by(events.c.position)
        .limit(limit)
    )
    old = [row.position for row in oldest if row.is_old]
    if old:
        connection.execute(sa.delete(events).where(events.c.position.in_(old)))
        # Another sweeper may have pruned more meanwhile.
        behind = (_heads.c.name == _PRUNED, _heads.c.position < old[-1])
        connection.execute(sa.update(_heads).where(*behind).values(position=old[-1]))
    return len(old)
