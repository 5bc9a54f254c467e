"""The event log, as a tenant reads it: a page of what matches, and where to go on."""

import dataclasses
import heapq
import operator
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from api.reads import cursors
from shared import database, errors, roles, suggestions
from shared.events import cloud_events, log, types

_events = log.events


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter:
    """Which events a list shows; None means any."""

    types: Sequence[str] | None = None
    """Types without our prefix."""
    subject: str | None = None
    correlation_id: str | None = None


def parse_types(text: str) -> list[str]:
    """List the types that a text means: names with or without prefix, and `job.*`; raises InvalidRequestError."""
    found: dict[str, None] = {}
    for word in text.split(","):
        name = word.strip().removeprefix(cloud_events.PREFIX)
        is_group = name.endswith(".*")
        matching = [
            known for known in types.TYPES if known == name or (is_group and known.startswith(name.removesuffix("*")))
        ]
        if not matching:
            similar = suggestions.find_similar(name, types.TYPES)
            hint = suggestions.ask(similar) if similar else "`GET /v1/event-types` lists all"
            detail = f"{word.strip()[:100]!r} is no type of event; {hint}"
            raise errors.InvalidRequestError(
                f"There is no type of event {word.strip()[:100]!r}.", problems=[errors.Problem(detail, "#/type")]
            )
        found |= dict.fromkeys(matching)
    return list(found)


def page(
    databases: database.Databases, tenant_id: str, chosen: Filter, *, limit: int, after: str | None, newest_first: bool
) -> dict[str, Any]:
    """Read a page of events as CloudEvents, and the cursor behind which the next one begins.

    From the oldest on, that cursor always goes on: with what is logged later, when there is no more now. From the
    newest on it is None at the end. Raises GoneError when what followed a cursor may have been pruned.
    """
    position = cursors.unpack(after, pattern="[0-9]{1,18}")
    begin = None if position is None else int(position)
    with database.available(roles.API), databases[roles.API].statements.connect() as connection:
        # Before the events: all up to this position can be seen by then, and those behind it are left for the next
        # page, since types are read one after the other.
        last = log.last_position(connection)
        rows = _read(connection, tenant_id, chosen, limit=limit, begin=begin, last=last, newest_first=newest_first)
        # Afterwards, as they may be pruned meanwhile.
        if begin is not None and not newest_first and begin < log.pruned_position(connection):
            raise errors.GoneError(
                "Events behind this cursor have been deleted, because they were kept for long enough; go on without "
                "`after`, from the oldest event that is kept."
            )
    events = log.to_logged(rows)
    is_full = len(events) == limit
    end = events[-1].position if is_full else None if newest_first else max(last, begin or 0)
    return {
        "events": [cloud_events.to_cloud_event(event) for event in events],
        "next": None if end is None else cursors.pack(str(end)),
    }


def _read(
    connection: sa.Connection,
    tenant_id: str,
    chosen: Filter,
    *,
    limit: int,
    begin: int | None,
    last: int,
    newest_first: bool,
) -> list[sa.Row[Any]]:
    """Read rows type by type, each in the order of an index, and merge them."""
    position = _events.c.position
    query = sa.select(*log.READ).where(_events.c.tenant_id == _literal(tenant_id), position <= last)
    if begin is not None:
        query = query.where(position < begin if newest_first else position > begin)
    if chosen.subject is not None:
        query = query.where(_events.c.subject == chosen.subject)
    if chosen.correlation_id is not None:
        query = query.where(_events.c.correlation_id == chosen.correlation_id)
    query = query.order_by(position.desc() if newest_first else position).limit(limit)
    if chosen.types is None or chosen.subject is not None or chosen.correlation_id is not None:
        # The events of a subject or of a story are few, so their types are no way to find them.
        wanted = query if chosen.types is None else query.where(_events.c.type.in_(chosen.types))
        return list(connection.execute(wanted).all())
    found = [connection.execute(query.where(_events.c.type == _literal(name))).all() for name in chosen.types]
    merged = heapq.merge(*found, key=operator.attrgetter("position"), reverse=newest_first)
    return [row for row, _ in zip(merged, range(limit), strict=False)]


def _literal(text: str) -> sa.BindParameter[str]:
    """Write a tenant or a type into the statement, so that it is planned for this one.

    A prepared plan is made for the average one, and for a rare one would read the whole log.
    """
    return sa.bindparam(None, text, literal_execute=True)
