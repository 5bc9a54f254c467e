"""How far those who read the event log have come; one process at a time moves each cursor."""

import sqlalchemy as sa

from shared import clock, database
from shared.catalog import api_tables

_cursors = api_tables.event_cursors


def lease(connection: sa.Connection, name: str, *, owner: str, seconds: float) -> int | None:
    """Lease a cursor to a process for some seconds, or longer if it has it; returns the position up to which is read.

    None while another process has it, and when there is no such cursor.
    """
    now = clock.now_ms()
    position: int | None = connection.execute(
        sa.update(_cursors)
        .where(
            _cursors.c.name == name,
            sa.or_(_cursors.c.leased_until <= now, _cursors.c.leased_by == owner),
        )
        .values(leased_by=owner, leased_until=now + int(seconds * 1000))
        .returning(_cursors.c.position)
    ).scalar()
    return position


def move(connection: sa.Connection, name: str, position: int, *, owner: str) -> bool:
    """Record that everything up to a position is read; False when the process no longer has the cursor."""
    moved = connection.execute(
        sa.update(_cursors)
        .where(
            _cursors.c.name == name,
            _cursors.c.leased_by == owner,
            _cursors.c.position <= position,
        )
        .values(position=position)
    )
    return moved.rowcount == 1


def create(connection: sa.Connection, name: str, *, position: int) -> None:
    """Create a cursor behind a position, unless there is one of this name."""
    statement = database.insert(connection, _cursors).values(name=name, position=position, leased_until=0)
    connection.execute(statement.on_conflict_do_nothing())
