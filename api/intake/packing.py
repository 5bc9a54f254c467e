"""What an archive is to hold: the rows of the versions that were asked for."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from api.intake import holdings
from api.reads import kept
from shared import contract, database, errors
from shared.catalog import archives
from shared.storage.contract import ExportArchive

_OWN = ("tenant_id", "name", "version", "job_id", "created_by", "deleted_at", "key", "sha256", "bytes")
"""Columns that an item says by itself, or that mean nothing elsewhere."""


def take(databases: database.Databases, command: ExportArchive, *, tenant_id: str) -> Iterator[holdings.Line]:
    """Give a line for each version that is asked for; raises InvalidRequestError when there is none or too many."""
    count = 0
    needed: dict[str, contract.DatasetPin] = {}
    # What holds other things comes first: who reads it knows then which of the later objects it needs.
    for place in sorted(kept.places(), key=lambda place: place.thing.holds is None):
        if command.what not in (place.type, "tenant"):
            continue
        with database.available(place.role), databases[place.role].statements.connect() as connection:
            aliases = _aliases(connection, place, tenant_id=tenant_id)
            for row in connection.execute(_wanted(place.versions, command, tenant_id=tenant_id)):
                count += 1
                yield {"key": row.key, "item": _item(place, row, aliases.get((row.name, row.version)))}
                if place.thing.holds:
                    pin = contract.DatasetPin.model_validate(getattr(row, place.thing.holds))
                    needed[pin.sha256] = pin
                else:
                    needed.pop(row.sha256, None)
    yield from ({"key": pin.key, "item": _fitting_data(pin)} for pin in needed.values())
    count += len(needed)
    if not 0 < count <= archives.MOST_ITEMS:
        asked = command.what if command.name is None else f"{command.what} {command.name!r}"
        problem = errors.Problem(f"{count} versions were found; an archive holds 1 to {archives.MOST_ITEMS}.", "#/name")
        raise errors.InvalidRequestError(f"There is nothing to pack of the {asked}.", problems=[problem])


def _wanted(table: sa.Table, command: ExportArchive, *, tenant_id: str) -> sa.Select[Any]:
    query = sa.select(table).where(
        table.c.tenant_id == tenant_id,
        table.c.deleted_at.is_(None),
    )
    if command.name is not None:
        query = query.where(table.c.name == command.name)
    if command.version is not None:
        query = query.where(table.c.version == command.version)
    return query.order_by(table.c.name, table.c.version).limit(archives.MOST_ITEMS + 1)


def _aliases(connection: sa.Connection, place: kept.Place, *, tenant_id: str) -> dict[tuple[str, int], list[str]]:
    """Read the aliases of all versions of a place, by name and version; none where there are no aliases."""
    table = place.aliases
    if table is None:
        return {}
    rows = connection.execute(
        sa.select(table).where(table.c.tenant_id == tenant_id).order_by(table.c.name, table.c.alias)
    )
    held: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        held.setdefault((row.name, row.version), []).append(row.alias)
    return held


def _item(place: kept.Place, row: sa.Row[Any], aliases: list[str] | None) -> dict[str, Any]:
    known = {str(name): value for name, value in row._asdict().items()}
    told = {name: value for name, value in known.items() if name not in _OWN}
    return {
        "role": place.role,
        "type": place.type,
        **{name: known[name] for name in ("name", "version", "sha256", "bytes")},
        # Left out where there are none: releases before this one refuse rows with a column too many.
        "row": told if aliases is None else {**told, "aliases": aliases},
    }


def _fitting_data(pin: contract.DatasetPin) -> dict[str, Any]:
    """Describe what a feature set was fitted on; its dataset's version may be deleted, and its object is held still."""
    known = {name: getattr(pin, name) for name in ("name", "version", "sha256", "bytes")}
    return {"role": "processing", "type": "fitting_data", **known, "row": {}}
