"""Where kept things are: for each type and each role that keeps it, the tables; and looking up what a label means."""

import dataclasses
import functools
import importlib
from typing import Any

import sqlalchemy as sa

from shared.catalog import kept_tables, versions
from shared.catalog.kept_tables import KeptThing

_POINTING = {"tenant_id", "key", "sha256", "bytes"}
"""The columns of a table whose rows point at objects; there is no list of tables that a new one could be missing on."""


@dataclasses.dataclass(frozen=True)
class Place:
    """The tables of one type of thing in the database of one role."""

    thing: KeptThing
    role: str
    heads: sa.Table
    versions: sa.Table
    aliases: sa.Table | None
    attachments: tuple[sa.Table, ...]

    @property
    def type(self) -> str:
        """The type of thing."""
        return self.thing.type


@functools.cache
def places() -> tuple[Place, ...]:
    """List the places of all kept things, those of a type in the order in which its names are looked up."""
    return tuple(_place(thing, role) for thing in kept_tables.THINGS.values() for role in thing.keepers)


def of_type(type_: str) -> list[Place]:
    """List the places of one type of thing, in the order in which its names are looked up."""
    return [place for place in places() if place.type == type_]


def _place(thing: KeptThing, role: str) -> Place:
    tables = _metadata(role).tables
    return Place(
        thing=thing,
        role=role,
        heads=tables[thing.heads],
        versions=tables[thing.versions],
        aliases=tables[thing.aliases] if thing.aliases else None,
        attachments=tuple(tables[name] for name in thing.attachments),
    )


def find(connection: sa.Connection, place: Place, *, tenant_id: str, name: str, label: str) -> sa.Row[Any] | None:
    """Read the row of the version that a label means: `latest`, a number or an alias; None when there is none."""
    number: int | None = None
    if label != "latest":
        number = _number(connection, place, tenant_id=tenant_id, name=name, label=label)
        if number is None:
            return None
    return versions.find(connection, place.versions, tenant_id=tenant_id, name=name, version=number)


def _number(connection: sa.Connection, place: Place, *, tenant_id: str, name: str, label: str) -> int | None:
    if label.isdecimal():
        return int(label) if len(label) < 10 else None
    if place.aliases is None:
        return None
    aliases = place.aliases
    number: int | None = connection.execute(
        sa.select(aliases.c.version).where(
            aliases.c.tenant_id == tenant_id,
            aliases.c.name == name,
            aliases.c.alias == label,
        )
    ).scalar()
    return number


def pin_of(place: Place, row: sa.Row[Any]) -> dict[str, Any]:
    """Make the pin that a job gets of a version's row."""
    return {name: getattr(row, name) for name in place.thing.pin.model_fields}


def pointing_tables(role: str) -> list[sa.Table]:
    """List a role's tables whose rows point at objects: kept things and whatever else names an object's key."""
    return [table for table in _metadata(role).sorted_tables if set(table.columns.keys()) >= _POINTING]


def type_of(table: sa.Table) -> str:
    """Name what a table's rows are: `dataset` for `dataset_versions`, `archive` for `archives`."""
    thing = kept_tables.BY_TABLE.get(table.name)
    return thing.type if thing else table.name.removesuffix("s")


def _metadata(role: str) -> sa.MetaData:
    metadata: sa.MetaData = importlib.import_module(f"shared.{role}.tables").metadata
    return metadata
