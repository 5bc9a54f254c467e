"""Deletes the objects that nothing points at, once they are old enough; `api.intake.holdings` says why that is safe."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from shared import errors
from shared.objects.store import Listed, Store
from shared.progress import Progress, no_progress
from shared.storage.contract import MOST_LISTED, Pruned, Retired
from workers.storage import inventory

_REMOVED_AT_ONCE = 500


@dataclasses.dataclass
class _Count:
    count: int = 0
    bytes: int = 0

    def add(self, found: Listed) -> None:
        self.count += 1
        self.bytes += found.bytes


def prune_objects(
    store: Store,
    known: inventory.Inventory,
    *,
    tenant_id: str,
    grace_ms: int,
    dry_run: bool,
    progress: Progress = no_progress,
) -> Pruned:
    """Delete what nothing holds and is older than the inventory by more than the grace; a dry run deletes nothing.

    What has a name that no key can have is somebody else's, and stays.
    """
    found, foreign = inventory.listed(store, tenant_id=tenant_id)
    limit = _taken_at(found, known) - grace_ms
    kept, waiting = _Count(), _Count()
    free: list[Listed] = []
    for one in found:
        if known.holds(one.key):
            kept.add(one)
        elif one.modified_at >= limit:
            waiting.add(one)
        else:
            free.append(one)
    free.sort(key=lambda one: one.key)
    if not dry_run:
        _remove(store, free, progress=progress)
    retired = [Retired.model_validate(one) for one in known.retired]
    return Pruned(
        dry_run=dry_run,
        retired_count=len(retired),
        retired=retired[:MOST_LISTED],
        deleted_count=len(free),
        deleted_bytes=sum(one.bytes for one in free),
        deleted=[one.key for one in free[:MOST_LISTED]],
        waiting_count=waiting.count,
        waiting_bytes=waiting.bytes,
        kept_count=kept.count,
        kept_bytes=kept.bytes,
        foreign_count=len(foreign),
        foreign=foreign[:MOST_LISTED],
    )


def interim(known: inventory.Inventory) -> dict[str, Any]:
    """Give what the API has retired, which is so even when deleting fails."""
    return {"retired_count": len(known.retired), "retired": known.retired[:MOST_LISTED]}


def _taken_at(found: Iterable[Listed], known: inventory.Inventory) -> int:
    """Give when the inventory was written, by the clock by which all objects' ages go."""
    for one in found:
        if one.key == known.pin.key:
            return one.modified_at
    raise errors.RetryableError("The store does not list the inventory yet; nothing was deleted.")


def _remove(store: Store, free: list[Listed], *, progress: Progress) -> None:
    for start in range(0, len(free), _REMOVED_AT_ONCE):
        progress(start / len(free), f"deleting object {start + 1:,} of {len(free):,}")
        store.remove(*(one.key for one in free[start : start + _REMOVED_AT_ONCE]))
