"""Retires old versions by a rule: marks them as deleted in their roles' tables, as DELETE of a version does.

The API does it, which alone may write in every role's database, once the job that asks for it is accepted. A retired
version's object stays for the grace, for jobs that have pinned it a moment ago; see `api.intake.holdings`.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import sqlalchemy as sa

from api.intake import holdings
from api.intake.orders import Acceptance
from api.reads import kept
from shared import clock, database
from shared.batches import batched
from shared.jobs import outbox
from shared.storage.contract import PruneObjects, Retired

_DAY_MS = 24 * 3600 * 1000
_MOST_AT_ONCE = 200


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which versions are retired; one that has neither limit retires nothing."""

    tenant_id: str
    older_than_ms: int | None
    keep_last: int | None
    types: frozenset[str]
    names: frozenset[str]


def rule_of(command: PruneObjects, *, tenant_id: str) -> Rule:
    """Give the rule that a command asks for."""
    days = command.older_than_days
    return Rule(
        tenant_id=tenant_id,
        older_than_ms=None if days is None else int(days * _DAY_MS),
        keep_last=command.keep_last,
        types=frozenset(command.types),
        names=frozenset(command.names),
    )


def choose(databases: database.Databases, rule: Rule) -> list[Retired]:
    """Give the versions that a rule retires now."""
    return [one for _place, some in _chosen(databases, rule) for one in some]


def retire(acceptance: Acceptance) -> None:
    """Retire what an accepted prune asks for, unless it is a dry run."""
    if acceptance.command.dry_run:
        return
    tenant_id = acceptance.tenant_id
    for place, chosen in _chosen(acceptance.databases, rule_of(acceptance.command, tenant_id=tenant_id)):
        with database.available(place.role), acceptance.databases[place.role].transactions.begin() as connection:
            mark(connection, place, chosen, tenant_id=tenant_id)


def _chosen(databases: database.Databases, rule: Rule) -> Iterator[tuple[kept.Place, list[Retired]]]:
    """Yield what a rule retires of each place, as far as there is something; nothing that somebody has pinned."""
    if rule.older_than_ms is None and rule.keep_last is None:
        return
    spare = frozenset(holdings.pinned(databases, tenant_id=rule.tenant_id))
    for place in kept.places():
        if place.type in rule.types:
            # Read by itself, so that no writer of SQLite waits while everything is looked at.
            with database.available(place.role), databases[place.role].statements.connect() as connection:
                chosen = list(_choose(connection, place, rule=rule, spare=spare))
            if chosen:
                yield place, chosen


def _choose(connection: sa.Connection, place: kept.Place, *, rule: Rule, spare: frozenset[str]) -> Iterator[Retired]:
    table = place.versions
    is_old = table.c.created_at <= clock.now_ms() - (rule.older_than_ms or 0)
    rows = connection.execute(
        sa.select(
            table.c.name,
            table.c.version,
            table.c.key,
            table.c.bytes,
            is_old.label("is_old"),
            _is_free(place).label("is_free"),
        )
        .where(
            table.c.tenant_id == rule.tenant_id,
            table.c.deleted_at.is_(None),
        )
        .order_by(table.c.name, table.c.version.desc())
    )
    for name, of_name in itertools.groupby(rows, key=lambda row: row.name):
        # The latest version is never among them, whatever the rule says.
        for row in itertools.islice(of_name, max(1, rule.keep_last or 1), None):
            is_named = not rule.names or name in rule.names
            if is_named and row.is_old and row.is_free and row.key not in spare:
                yield Retired(type=place.thing.type, name=name, version=row.version, bytes=row.bytes)


def _is_free(place: kept.Place) -> sa.ColumnElement[bool]:
    """Say that no alias stands for a version."""
    table, aliases = place.versions, place.aliases
    if aliases is None:
        return sa.true()
    return ~sa.exists().where(
        aliases.c.tenant_id == table.c.tenant_id,
        aliases.c.name == table.c.name,
        aliases.c.version == table.c.version,
    )


def mark(connection: sa.Connection, place: kept.Place, chosen: list[Retired], *, tenant_id: str) -> list[Retired]:
    """Mark versions as deleted unless somebody was faster or has given one an alias meanwhile; gives those marked."""
    table = place.versions
    by_label = {(one.name, one.version): one for one in chosen}
    marked: list[Retired] = []
    for some in batched(sorted(by_label), size=_MOST_AT_ONCE):
        wanted = sa.and_(
            table.c.tenant_id == tenant_id,
            # Pairs spelt out: as tuples SQLite would look at the whole table.
            sa.or_(*(sa.and_(table.c.name == name, table.c.version == version) for name, version in some)),
        )
        # Locked by a statement of its own: the next one then sees each alias that was set before the lock was had.
        connection.execute(sa.select(table.c.version).where(wanted).with_for_update()).all()
        rows = connection.execute(
            sa.update(table)
            .where(
                wanted,
                table.c.deleted_at.is_(None),
                _is_free(place),
            )
            .values(deleted_at=clock.now_ms())
            .returning(table.c.name, table.c.version)
        )
        marked += [by_label[row.name, row.version] for row in rows]
    for attachment in place.attachments:
        _drop(connection, attachment, marked, tenant_id=tenant_id)
    outbox.put(connection, (_event(one, tenant_id=tenant_id) for one in marked))
    return marked


def _drop(connection: sa.Connection, table: sa.Table, marked: list[Retired], *, tenant_id: str) -> None:
    """Forget what belongs to retired versions, such as exports, which hold objects of their own."""
    for some in batched([(one.name, one.version) for one in marked], size=_MOST_AT_ONCE):
        connection.execute(
            sa.delete(table).where(
                table.c.tenant_id == tenant_id,
                sa.tuple_(table.c.name, table.c.version).in_(some),
            )
        )


def _event(one: Retired, *, tenant_id: str) -> outbox.Event:
    data = {"name": one.name, "version": one.version}
    return outbox.Event(f"{one.type}.deleted", f"{one.name}@{one.version}", tenant_id, data)
