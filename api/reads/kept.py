"""Where datasets, feature sets and models are kept: the tables, by type and role; and what a label stands for.

Which types and roles there are is a table: docs/decisions/kinds.md, "One table says what a kept thing is".
"""

import dataclasses
import functools
import importlib
from typing import Any

import sqlalchemy as sa

from shared.catalog import kept_tables, stored_bytes, versions
from shared.catalog.kept_tables import KeptType

_PINNING_COLUMNS = {"tenant_id", "pin"}
"""A table with these columns has rows that need what they have pinned."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one role keeps one type: the tables in the role's database."""

    kept_type: KeptType
    role: str
    heads: sa.Table
    versions: sa.Table
    aliases: sa.Table | None
    tags: sa.Table
    attachments: tuple[sa.Table, ...]

    @property
    def type(self) -> str:
        """The name of the type, such as `dataset`."""
        return self.kept_type.type


@functools.cache
def places() -> tuple[Place, ...]:
    """List the places of all types, those of one type in the order in which its names are looked up."""
    return tuple(_place(kept_type, role) for kept_type in kept_tables.TYPES.values() for role in kept_type.keepers)


def places_of_type(type_: str) -> list[Place]:
    """List the places of one type, in the order in which its names are looked up."""
    return [place for place in places() if place.type == type_]


def _place(kept_type: KeptType, role: str) -> Place:
    tables = _metadata(role).tables
    return Place(
        kept_type=kept_type,
        role=role,
        heads=tables[kept_type.heads],
        versions=tables[kept_type.versions],
        aliases=tables[kept_type.aliases] if kept_type.aliases else None,
        tags=tables[kept_type.tags],
        attachments=tuple(tables[name] for name in kept_type.attachments),
    )


def find(connection: sa.Connection, place: Place, *, tenant_id: str, name: str, label: str) -> sa.Row[Any] | None:
    """Read the row of the version that a label stands for: `latest`, a number or an alias; None when there is none."""
    number: int | None = None
    if label != "latest":
        number = _find_number(connection, place, tenant_id=tenant_id, name=name, label=label)
        if number is None:
            return None
    return versions.find(connection, place.versions, tenant_id=tenant_id, name=name, version=number)


def _find_number(connection: sa.Connection, place: Place, *, tenant_id: str, name: str, label: str) -> int | None:
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
    """Make the pin of a version from its row."""
    return {name: getattr(row, name) for name in place.kept_type.pin.model_fields}


def pointing_tables(role: str) -> list[sa.Table]:
    """List a role's tables whose rows point at objects: those of versions, and others such as archives."""
    return stored_bytes.list_tables(role)


def pinning_tables(role: str) -> list[sa.Table]:
    """List a role's tables whose rows need versions of another role, such as the versions that deployments need."""
    return [table for table in _metadata(role).sorted_tables if set(table.columns.keys()) >= _PINNING_COLUMNS]


def type_of(table: sa.Table) -> str:
    """Name the type of a table's rows: `dataset` for `dataset_versions`, `archive` for `archives`."""
    kept_type = kept_tables.BY_TABLE.get(table.name)
    return kept_type.type if kept_type else table.name.removesuffix("s")


def _metadata(role: str) -> sa.MetaData:
    metadata: sa.MetaData = importlib.import_module(f"shared.{role}.tables").metadata
    return metadata
