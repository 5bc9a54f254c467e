"""Retires old versions by a rule: marks them as deleted in their roles' tables, as DELETE of a version does.

The API does this after it has accepted the job that prunes, because only the API may write in every role's database. A
retired version's object stays for the grace, for jobs that have just pinned it; see `api.intake.holdings`, and
docs/decisions/storage.md, "The API writes down what is held, and the storage worker deletes the rest".
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
_BATCH_SIZE = 200


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which versions are retired; a rule with neither `older_than_ms` nor `keep_last` retires nothing."""

    tenant_id: str
    older_than_ms: int | None
    keep_last: int | None
    types: frozenset[str]
    names: frozenset[str]


def rule_of(command: PruneObjects, *, tenant_id: str) -> Rule:
    """Read the rule from a command."""
    days = command.older_than_days
    return Rule(
        tenant_id=tenant_id,
        older_than_ms=None if days is None else int(days * _DAY_MS),
        keep_last=command.keep_last,
        types=frozenset(command.types),
        names=frozenset(command.names),
    )


def choose(databases: database.Databases, rule: Rule) -> list[Retired]:
    """List the versions that a rule retires now."""
    return [version for _place, versions in _choose_by_place(databases, rule) for version in versions]


def retire(acceptance: Acceptance) -> None:
    """Retire the versions that an accepted prune's rule chooses, unless it is a dry run."""
    if acceptance.command.dry_run:
        return
    tenant_id = acceptance.tenant_id
    for place, versions in _choose_by_place(acceptance.databases, rule_of(acceptance.command, tenant_id=tenant_id)):
        with database.available(place.role), acceptance.databases[place.role].transactions.begin() as connection:
            mark_deleted(connection, place, versions, tenant_id=tenant_id)


def _choose_by_place(databases: database.Databases, rule: Rule) -> Iterator[tuple[kept.Place, list[Retired]]]:
    """Yield the places where a rule retires versions, with these versions; pinned ones are never among them."""
    if rule.older_than_ms is None and rule.keep_last is None:
        return
    pinned_keys = frozenset(holdings.list_pinned_keys(databases, tenant_id=rule.tenant_id))
    for place in kept.places():
        if place.type in rule.types:
            # Read outside the transaction that writes, so that SQLite's other writers don't wait for this long query.
            with database.available(place.role), databases[place.role].statements.connect() as connection:
                versions = list(_choose_in_place(connection, place, rule=rule, pinned_keys=pinned_keys))
            if versions:
                yield place, versions


def _choose_in_place(
    connection: sa.Connection, place: kept.Place, *, rule: Rule, pinned_keys: frozenset[str]
) -> Iterator[Retired]:
    table = place.versions
    is_old = table.c.created_at <= clock.now_ms() - (rule.older_than_ms or 0)
    rows = connection.execute(
        sa.select(
            table.c.name,
            table.c.version,
            table.c.key,
            table.c.bytes,
            is_old.label("is_old"),
            _has_no_alias(place).label("is_free"),
        )
        .where(
            table.c.tenant_id == rule.tenant_id,
            table.c.deleted_at.is_(None),
        )
        .order_by(table.c.name, table.c.version.desc())
    )
    for name, rows_of_name in itertools.groupby(rows, key=lambda row: row.name):
        # The latest version is never retired, whatever the rule is.
        for row in itertools.islice(rows_of_name, max(1, rule.keep_last or 1), None):
            is_named = not rule.names or name in rule.names
            if is_named and row.is_old and row.is_free and row.key not in pinned_keys:
                yield Retired(type=place.kept_type.type, name=name, version=row.version, bytes=row.bytes)


def _has_no_alias(place: kept.Place) -> sa.ColumnElement[bool]:
    """Build the condition that no alias stands for a version."""
    table, aliases = place.versions, place.aliases
    if aliases is None:
        return sa.true()
    return ~sa.exists().where(
        aliases.c.tenant_id == table.c.tenant_id,
        aliases.c.name == table.c.name,
        aliases.c.version == table.c.version,
    )


def mark_deleted(
    connection: sa.Connection, place: kept.Place, versions: list[Retired], *, tenant_id: str
) -> list[Retired]:
    """Mark versions as deleted, except those that were deleted or got an alias meanwhile; returns those it marked."""
    table = place.versions
    by_name_and_number = {(version.name, version.version): version for version in versions}
    marked: list[Retired] = []
    for pairs in batched(sorted(by_name_and_number), size=_BATCH_SIZE):
        is_in_batch = sa.and_(
            table.c.tenant_id == tenant_id,
            # Joined by OR, because for tuples SQLite reads the whole table.
            sa.or_(*(sa.and_(table.c.name == name, table.c.version == number) for name, number in pairs)),
        )
        # Locked by a separate statement, so that the next one sees every alias that was set before it got the lock.
        connection.execute(sa.select(table.c.version).where(is_in_batch).with_for_update()).all()
        rows = connection.execute(
            sa.update(table)
            .where(
                is_in_batch,
                table.c.deleted_at.is_(None),
                _has_no_alias(place),
            )
            .values(deleted_at=clock.now_ms())
            .returning(table.c.name, table.c.version)
        )
        marked += [by_name_and_number[row.name, row.version] for row in rows]
    for attachment in place.attachments:
        _delete_attachments(connection, attachment, marked, tenant_id=tenant_id)
    outbox.put(connection, (_make_event(version, tenant_id=tenant_id) for version in marked))
    return marked


def _delete_attachments(connection: sa.Connection, table: sa.Table, marked: list[Retired], *, tenant_id: str) -> None:
    """Delete the rows that belong to retired versions, such as exports, which hold objects of their own."""
    for pairs in batched([(version.name, version.version) for version in marked], size=_BATCH_SIZE):
        connection.execute(
            sa.delete(table).where(
                table.c.tenant_id == tenant_id,
                # Joined by OR, because for tuples SQLite reads the whole table.
                sa.or_(*(sa.and_(table.c.name == name, table.c.version == number) for name, number in pairs)),
            )
        )


def _make_event(version: Retired, *, tenant_id: str) -> outbox.Event:
    data = {"name": version.name, "version": version.version}
    return outbox.Event(
        type=f"{version.type}.deleted", subject=f"{version.name}@{version.version}", tenant_id=tenant_id, data=data
    )
