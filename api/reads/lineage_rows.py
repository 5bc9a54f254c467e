"""Reads what a lineage names, from the database of the role that keeps it; a role that is down is left out."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from api.reads import kept
from shared import database
from shared.catalog import kept_tables, lineage
from shared.catalog.lineage import Thing
from shared.evaluation.tables import evaluations

T = TypeVar("T")

_MAKERS = ("ingestion", "processing", "training", "evaluation", "prediction")
_MOST_AT_ONCE = 100


@dataclasses.dataclass(frozen=True)
class Found:
    """A thing's row."""

    thing: Thing
    job_id: str
    created_at: int
    lineage: dict[str, Any]
    sha256: str | None = None
    is_deleted: bool = False
    sources: tuple[Thing, ...] = ()
    """What it was made of, as it is called here; what is not here is called by its SHA-256."""


class Rows:
    """The rows of one tenant; once a role's database was seen to be down, it is not asked again."""

    def __init__(self, databases: database.Databases, tenant_id: str) -> None:
        """Read for a tenant."""
        self._databases = databases
        self._tenant_id = tenant_id
        self.unavailable: list[str] = []

    def find(self, things: Sequence[Thing]) -> dict[Thing, Found]:
        """Read the rows of things; one that isn't there, or whose database is down, is left out."""
        found: dict[Thing, Found] = {}
        for place in kept.places():
            asked = [
                one for one in things if one[0] == place.type and one not in found and not lineage.content_of(one[1])
            ]
            wanted = [_is(place.versions, one) for one in asked]
            read = functools.partial(self._versions, place=place, wanted=wanted)
            found |= {row.thing: row for row in (self._ask(place.role, read) if wanted else [])}
        scores = [label for made, label in things if made == "evaluation"]
        read = functools.partial(self._evaluations, labels=scores)
        found |= {row.thing: row for row in (self._ask("evaluation", read) if scores else [])}
        return self._with_sources(found)

    def _with_sources(self, found: dict[Thing, Found]) -> dict[Thing, Found]:
        """Add what things were made of; for those that an archive brought, the versions that hold the same here."""
        brought = {thing: lineage.elsewhere(row.lineage) for thing, row in found.items()}
        holders = self._holders(list(dict.fromkeys(source for sources in brought.values() for source in sources)))
        told = {}
        for thing, row in found.items():
            at_hand = {
                source: max(holders[source], key=functools.partial(_fitness, origin=origin)).thing
                for source, origin in brought[thing].items()
                if source in holders
            }
            sources = [at_hand.get(source, source) for source in lineage.sources(row.lineage)]
            told[thing] = dataclasses.replace(row, sources=tuple(sources))
        return told

    def _holders(self, contents: Sequence[Thing]) -> dict[Thing, list[Found]]:
        """Give the versions that hold what is labelled by its SHA-256, under the same name."""
        held: dict[Thing, list[Found]] = {}
        for place in kept.places():
            wanted = [_holds(place.versions, one) for one in contents if one[0] == place.type]
            read = functools.partial(self._versions, place=place, wanted=wanted)
            for row in self._ask(place.role, read) if wanted else []:
                held.setdefault(_content(row), []).append(row)
        return held

    def made_of(self, things: Mapping[Thing, Found | None], *, limit: int) -> list[Thing]:
        """Give what any role has made of things, or of what holds the same, of each thing the newest `limit`."""
        found: list[Thing] = []
        asked = [*things, *(_content(row) for row in things.values() if row and row.sha256)]
        for role in _MAKERS:
            found += self._ask(role, lambda c: lineage.made_of(c, asked, tenant_id=self._tenant_id, limit=limit))
        return list(dict.fromkeys(found))

    def keepers(self, made: str) -> set[str]:
        """Give the roles that may keep a thing of a type."""
        thing = kept_tables.THINGS.get(made)
        return set(thing.keepers) if thing else {made}

    def _ask(self, role: str, read: Callable[[sa.Connection], list[T]]) -> list[T]:
        if role in self.unavailable:
            return []
        try:
            with self._databases[role].statements.connect() as connection:
                return read(connection)
        except database.FAULTS:
            self.unavailable.append(role)
            return []

    def _versions(
        self, connection: sa.Connection, *, place: kept.Place, wanted: Sequence[sa.ColumnElement[bool]]
    ) -> list[Found]:
        table = place.versions
        names = ("name", "version", "job_id", "created_at", "deleted_at", "sha256", "lineage")
        found = []
        for start in range(0, len(wanted), _MOST_AT_ONCE):
            chosen = wanted[start : start + _MOST_AT_ONCE]
            rows = connection.execute(
                sa.select(*(table.c[name] for name in names)).where(
                    sa.or_(*(sa.and_(table.c.tenant_id == self._tenant_id, one) for one in chosen))
                )
            )
            for row in rows:
                thing, gone = (place.type, f"{row.name}@{row.version}"), row.deleted_at is not None
                found.append(Found(thing, row.job_id, row.created_at, row.lineage, row.sha256, gone))
        return found

    def _evaluations(self, connection: sa.Connection, *, labels: Sequence[str]) -> list[Found]:
        table = evaluations
        rows = connection.execute(
            sa.select(
                table.c.id, table.c.job_id, table.c.created_at, table.c.model, table.c.dataset, table.c.lineage
            ).where(table.c.tenant_id == self._tenant_id, table.c.id.in_(labels))
        )
        return [
            Found(
                ("evaluation", row.id),
                row.job_id,
                row.created_at,
                {"model": row.model, "dataset": row.dataset, **row.lineage},
            )
            for row in rows
        ]


# Spelt out, because SQLite reads the whole table for a pair IN a list of pairs.


def _is(table: sa.Table, thing: Thing) -> sa.ColumnElement[bool]:
    name, _, version = thing[1].partition("@")
    return sa.and_(table.c.name == name, table.c.version == int(version))


def _holds(table: sa.Table, thing: Thing) -> sa.ColumnElement[bool]:
    name, _, digest = thing[1].partition("@")
    return sa.and_(table.c.name == name, table.c.sha256 == digest)


def _content(row: Found) -> Thing:
    made, label = row.thing
    return made, lineage.by_content(label.partition("@")[0], row.sha256 or "")


def _fitness(row: Found, *, origin: dict[str, Any]) -> tuple[bool, bool, int]:
    """Prefer of versions that hold the same one that is there, then the one that it was, then the newest."""
    was_it = lineage.layers(row.lineage)[-2:][0].get("source") == origin
    return not row.is_deleted, was_it, int(row.thing[1].partition("@")[2])
