"""Taking in an archive: see that it is ours, reserve its names, and order a job of each role for what it keeps."""

from typing import Any

import sqlalchemy as sa

from api.intake import dataset_names
from api.intake.orders import Order
from shared import contract, database, errors, kinds, settings
from shared.catalog import adoption, archives, kept_tables
from shared.objects import store
from shared.storage import archive_keys

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
        key = archive_keys.of_tenant(connection, tenant_id=tenant_id, config=config)
    try:
        with objects.open_read(pin["key"]) as file:
            head = archives.read_head(file)
        archives.check_head(head, key=key, tenant=tenant_id)
    except errors.UnsafeArtifactError as refused:
        raise errors.InvalidRequestError(
            f"The archive is not taken: {refused.message}", problems=[errors.Problem(refused.message, "#")]
        ) from refused
    return head


def reserve_names(databases: database.Databases, head: archives.Head, *, tenant_id: str) -> None:
    """Reserve the names of an archive's datasets for the roles that kept them; raises ConflictError."""
    type_ = kept_tables.DATASET.type
    for role in kept_tables.DATASET.keepers:
        names = head.names.get(role, {}).get(type_, [])
        try:
            dataset_names.reserve(names, role=role, tenant_id=tenant_id, databases=databases)
        except sa.exc.DataError as refused:
            longest = max(names, key=len)
            problem = errors.Problem(f"The dataset {longest!r} has {len(longest)} characters.", "#")
            raise errors.InvalidRequestError(
                "The archive holds names that are longer than this system's database takes; export what else is needed "
                "by its name.",
                problems=[problem],
            ) from refused


def orders_for(head: archives.Head, pin: dict[str, Any]) -> list[Order]:
    """Make the orders for the jobs that take in what an archive holds."""
    return [
        _order(kinds.by_name()[kind], pin)
        for thing in kept_tables.THINGS.values()
        for role, kind in thing.adopters.items()
        if thing.type in head.names.get(role, {})
    ]


def _order(kind: contract.Kind, pin: dict[str, Any]) -> Order:
    return Order(kind=kind, command=adoption.AdoptArchive(sha256=pin["sha256"]), pinned={"archive": pin})
