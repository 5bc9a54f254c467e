"""Hashes every object that something points at, and looks for objects that nothing points at."""

import hashlib
import io

from shared.objects.store import Listed, Store
from shared.progress import Progress, no_progress
from shared.storage.contract import MAX_LISTED, Trouble, Verified
from workers.storage.inventory import HeldObject, Inventory, list_objects

_CHUNK_BYTES = 4 * 1024 * 1024
_FRESH_MS = 3600 * 1000
"""A younger object may be an upload whose job is about to be accepted."""


def verify_objects(
    store: Store,
    inventory: Inventory,
    *,
    tenant_id: str,
    progress: Progress = no_progress,
) -> Verified:
    """Compare the store with an inventory; an object written less than an hour before it is no orphan yet."""
    missing: list[Trouble] = []
    damaged: list[Trouble] = []
    hashed = 0
    for number, (key, held) in enumerate(inventory.held.items()):
        progress(number / len(inventory.held), f"hashing object {number + 1:,} of {len(inventory.held):,}")
        try:
            with store.open_read(key) as file:
                sha256, size = _hash(file)
        except FileNotFoundError:
            missing.append(Trouble(key=key, of=held.of, detail="It is not in the store."))
            continue
        hashed += size
        if damage := _describe_damage(held, sha256=sha256, size=size):
            damaged.append(Trouble(key=key, of=held.of, detail=damage))
    objects, foreign = list_objects(store, tenant_id=tenant_id)
    orphaned = _find_orphans(objects, inventory)
    return Verified(
        objects=len(inventory.held),
        bytes=hashed,
        sound=len(inventory.held) - len(missing) - len(damaged),
        missing_count=len(missing),
        missing=missing[:MAX_LISTED],
        damaged_count=len(damaged),
        damaged=damaged[:MAX_LISTED],
        orphaned_count=len(orphaned),
        orphaned_bytes=sum(item.bytes for item in orphaned),
        orphaned=sorted(item.key for item in orphaned)[:MAX_LISTED],
        foreign_count=len(foreign),
        foreign=foreign[:MAX_LISTED],
    )


def _hash(file: io.BufferedReader) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _describe_damage(held: HeldObject, *, sha256: str, size: int) -> str | None:
    if held.bytes is not None and size != held.bytes:
        return f"It has {size} bytes, not {held.bytes}."
    return None if sha256 == held.sha256 else f"It has SHA-256 {sha256}, not {held.sha256}."


def _find_orphans(objects: list[Listed], inventory: Inventory) -> list[Listed]:
    written_at = next((item.modified_at for item in objects if item.key == inventory.pin.key), 0)
    return [item for item in objects if not inventory.holds(item.key) and item.modified_at < written_at - _FRESH_MS]
