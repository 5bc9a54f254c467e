"""Collects what an archive is to contain: the rows of the versions to export."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from api.intake import holdings
from api.reads import kept
from shared import contract, database, errors
from shared.catalog import archives
from shared.storage.contract import ExportArchive

_NOT_IN_ROW = (
    *("tenant_id", "name", "version", "job_id", "created_by", "deleted_at", "key", "sha256", "bytes"),
    *("dataset_label", "dataset_name"),
)
"""Columns that an item has outside its `row`, or that mean nothing in another system."""
_MARKS = ("tags", "note")
_IDENTITY = ("name", "version", "sha256", "bytes")


def collect(databases: database.Databases, command: ExportArchive, *, tenant_id: str) -> Iterator[holdings.Line]:
    """Yield a line for each version to export; raises InvalidRequestError when there are none, or too many."""
    count = 0
    fitting_data: dict[str, contract.DatasetPin] = {}
    # Types that pin others come first, so that the reader of an archive knows which of the later objects it needs.
    for place in sorted(kept.places(), key=lambda place: place.kept_type.holds is None):
        if command.what not in (place.type, "tenant"):
            continue
        with database.available(place.role), databases[place.role].statements.connect() as connection:
            aliases = _read_aliases(connection, place, tenant_id=tenant_id)
            for row in connection.execute(_select_versions(place.versions, command, tenant_id=tenant_id)):
                count += 1
                yield {"key": row.key, "item": _describe_item(place, row, aliases.get((row.name, row.version)))}
                if place.kept_type.holds:
                    pin = contract.DatasetPin.model_validate(getattr(row, place.kept_type.holds))
                    fitting_data[pin.sha256] = pin
                else:
                    fitting_data.pop(row.sha256, None)
    yield from ({"key": pin.key, "item": _describe_fitting_data(pin)} for pin in fitting_data.values())
    count += len(fitting_data)
    if not 0 < count <= archives.MAX_ITEMS:
        subject = command.what if command.name is None else f"{command.what} {command.name!r}"
        problem = errors.Problem(f"{count} versions were found; an archive holds 1 to {archives.MAX_ITEMS}.", "#/name")
        raise errors.InvalidRequestError(f"The {subject} can't be exported.", problems=[problem])


def _select_versions(table: sa.Table, command: ExportArchive, *, tenant_id: str) -> sa.Select[Any]:
    query = sa.select(table).where(
        table.c.tenant_id == tenant_id,
        table.c.deleted_at.is_(None),
    )
    if command.name is not None:
        query = query.where(table.c.name == command.name)
    if command.version is not None:
        query = query.where(table.c.version == command.version)
    return query.order_by(table.c.name, table.c.version).limit(archives.MAX_ITEMS + 1)


def _read_aliases(connection: sa.Connection, place: kept.Place, *, tenant_id: str) -> dict[tuple[str, int], list[str]]:
    """Read the aliases of all versions of a place, by name and version; none for a type without aliases."""
    table = place.aliases
    if table is None:
        return {}
    rows = connection.execute(
        sa.select(table).where(table.c.tenant_id == tenant_id).order_by(table.c.name, table.c.alias)
    )
    aliases: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        aliases.setdefault((row.name, row.version), []).append(row.alias)
    return aliases


def _describe_item(place: kept.Place, row: sa.Row[Any], aliases: list[str] | None) -> dict[str, Any]:
    columns = {str(name): value for name, value in row._asdict().items()}
    row_document = {name: value for name, value in columns.items() if name not in _NOT_IN_ROW}
    # Only kept when there are any: earlier releases refuse rows with unknown columns.
    row_document = {name: value for name, value in row_document.items() if value or name not in _MARKS}
    return {
        "role": place.role,
        "type": place.type,
        **{name: columns[name] for name in _IDENTITY},
        "row": row_document if aliases is None else {**row_document, "aliases": aliases},
    }


def _describe_fitting_data(pin: contract.DatasetPin) -> dict[str, Any]:
    """Describe the data that a feature set was fitted on; its version may be deleted, but the pin holds its object."""
    identity = {name: getattr(pin, name) for name in _IDENTITY}
    return {"role": "processing", "type": "fitting_data", **identity, "row": {}}
