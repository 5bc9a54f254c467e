"""Imports an archive: checks its signature, reserves its names, and orders a job for each type and role in it.

See docs/decisions/storage.md, "Archives are signed, and adopted by the roles that own what is in them".
"""

from typing import Any

import sqlalchemy as sa

from api.intake import dataset_names
from api.intake.orders import Order
from shared import contract, database, errors, kinds, settings
from shared.catalog import adoption, archives, kept_tables
from shared.objects import store
from shared.storage import archive_keys

KIND_NAMES = tuple(kind for kept_type in kept_tables.TYPES.values() for kind in kept_type.adopters.values())
"""The kinds of the jobs that import."""
_ROLE = "storage"


def read_head(
    databases: database.Databases,
    objects: store.Store,
    pin: dict[str, Any],
    *,
    tenant_id: str,
    config: settings.Settings,
) -> archives.Head:
    """Read an archive's head; raises InvalidRequestError unless this system made it for this tenant."""
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        key = archive_keys.get_or_create(connection, tenant_id=tenant_id, config=config)
    try:
        with objects.open_read(pin["key"]) as file:
            head = archives.read_head(file)
        archives.check_head(head, key=key, tenant=tenant_id)
    except errors.UnsafeArtifactError as error:
        raise errors.InvalidRequestError(
            f"The archive is refused: {error.message}", problems=[errors.Problem(error.message, "#")]
        ) from error
    return head


def reserve_names(databases: database.Databases, head: archives.Head, *, tenant_id: str) -> None:
    """Reserve the names of an archive's datasets for the roles that kept them; raises ConflictError."""
    type_ = kept_tables.DATASET.type
    for role in kept_tables.DATASET.keepers:
        names = head.names.get(role, {}).get(type_, [])
        try:
            dataset_names.reserve(names, role=role, tenant_id=tenant_id, databases=databases)
        except sa.exc.DataError as error:
            longest = max(names, key=len)
            problem = errors.Problem(f"The dataset {longest!r} has {len(longest)} characters.", "#")
            raise errors.InvalidRequestError(
                "The archive has names that are too long for this system's database; export the other datasets one by "
                "one.",
                problems=[problem],
            ) from error


def make_orders(head: archives.Head, pin: dict[str, Any]) -> list[Order]:
    """Make the orders for the jobs that import what an archive holds."""
    return [
        _make_order(kinds.by_name()[kind], pin)
        for kept_type in kept_tables.TYPES.values()
        for role, kind in kept_type.adopters.items()
        if kept_type.type in head.names.get(role, {})
    ]


def _make_order(kind: contract.Kind, pin: dict[str, Any]) -> Order:
    return Order(kind=kind, command=adoption.AdoptArchive(sha256=pin["sha256"]), pinned={"archive": pin})
