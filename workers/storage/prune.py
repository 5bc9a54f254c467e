"""Deletes the objects that nothing points at, once they are old enough; `api.intake.holdings` says why that is safe."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from shared import errors
from shared.objects.store import Listed, Store
from shared.progress import Progress, no_progress
from shared.storage.contract import MAX_LISTED, Pruned, Retired
from workers.storage.inventory import Inventory, list_objects

_OBJECTS_PER_REMOVAL = 500


@dataclasses.dataclass
class _Total:
    count: int = 0
    bytes: int = 0

    def add(self, item: Listed) -> None:
        self.count += 1
        self.bytes += item.bytes


def prune_objects(
    store: Store,
    inventory: Inventory,
    *,
    tenant_id: str,
    grace_ms: int,
    dry_run: bool,
    progress: Progress = no_progress,
) -> Pruned:
    """Delete objects that nothing points at and that are older than the inventory by more than the grace.

    A dry run only reports them. Files whose names can't be keys are foreign, and stay.
    """
    objects, foreign = list_objects(store, tenant_id=tenant_id)
    limit = _find_written_at(objects, inventory) - grace_ms
    kept, waiting = _Total(), _Total()
    unused: list[Listed] = []
    for item in objects:
        if inventory.holds(item.key):
            kept.add(item)
        elif item.modified_at >= limit:
            waiting.add(item)
        else:
            unused.append(item)
    unused.sort(key=lambda item: item.key)
    if not dry_run:
        _remove(store, unused, progress=progress)
    retired = [Retired.model_validate(document) for document in inventory.retired]
    return Pruned(
        dry_run=dry_run,
        retired_count=len(retired),
        retired=retired[:MAX_LISTED],
        deleted_count=len(unused),
        deleted_bytes=sum(item.bytes for item in unused),
        deleted=[item.key for item in unused[:MAX_LISTED]],
        waiting_count=waiting.count,
        waiting_bytes=waiting.bytes,
        kept_count=kept.count,
        kept_bytes=kept.bytes,
        foreign_count=len(foreign),
        foreign=foreign[:MAX_LISTED],
    )


def describe_retired(inventory: Inventory) -> dict[str, Any]:
    """Describe the versions that the API has retired, which stay retired even when deleting fails."""
    return {"retired_count": len(inventory.retired), "retired": inventory.retired[:MAX_LISTED]}


def _find_written_at(objects: Iterable[Listed], inventory: Inventory) -> int:
    """Find when the inventory was written, by the store's clock, which also dates all other objects."""
    for item in objects:
        if item.key == inventory.pin.key:
            return item.modified_at
    raise errors.RetryableError("The store does not list the inventory yet; nothing was deleted.")


def _remove(store: Store, unused: list[Listed], *, progress: Progress) -> None:
    for start in range(0, len(unused), _OBJECTS_PER_REMOVAL):
        progress(start / len(unused), f"deleting object {start + 1:,} of {len(unused):,}")
        store.remove(*(item.key for item in unused[start : start + _OBJECTS_PER_REMOVAL]))
