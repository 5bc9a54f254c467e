"""Pins what a job of the storage role works from: the holdings, or the rows that an archive is to hold."""

import itertools
from collections.abc import Iterator
from typing import Any

from shared import contract, database, holdings, objects, packing, retention
from shared.storage import contract as storage

_HOUR_MS = 3600 * 1000


def pin(
    command: contract.Command, *, databases: database.Databases, store: objects.Store, tenant_id: str
) -> dict[str, Any]:
    """Write the inventory that a command needs, and give its pin; nothing else is changed."""
    if isinstance(command, storage.ExportArchive):
        lines = packing.take(databases, command, tenant_id=tenant_id)
    elif isinstance(command, storage.PruneObjects):
        lines = _for_prune(databases, command, tenant_id=tenant_id)
    else:
        lines = holdings.take(databases, tenant_id=tenant_id, grace_ms=0)
    return holdings.write(store, lines, tenant_id=tenant_id)


def _for_prune(
    databases: database.Databases, command: storage.PruneObjects, *, tenant_id: str
) -> Iterator[holdings.Line]:
    grace_ms = int(command.grace_hours * _HOUR_MS)
    rule = retention.rule_of(command, tenant_id=tenant_id)
    retired = retention.choose(databases, rule)
    return itertools.chain(
        ({"retired": one.model_dump(mode="json")} for one in retired),
        holdings.take(databases, tenant_id=tenant_id, grace_ms=grace_ms),
    )
