"""Hashes every object that something points at, and looks for those that nothing does."""

import hashlib
import io

from shared.objects.store import Listed, Store
from shared.progress import Progress, no_progress
from shared.storage.contract import MOST_LISTED, Trouble, Verified
from workers.storage import inventory

_CHUNK_BYTES = 4 * 1024 * 1024
_FRESH_MS = 3600 * 1000
"""An object that is younger may be an upload whose job is about to be accepted."""


def verify_objects(
    store: Store,
    known: inventory.Inventory,
    *,
    tenant_id: str,
    progress: Progress = no_progress,
) -> Verified:
    """Hold the store against an inventory; what was written less than an hour before it is no orphan yet."""
    missing: list[Trouble] = []
    damaged: list[Trouble] = []
    hashed = 0
    for number, (key, held) in enumerate(known.held.items()):
        progress(number / len(known.held), f"hashing object {number + 1:,} of {len(known.held):,}")
        try:
            with store.open_read(key) as file:
                seen, size = _hash(file)
        except FileNotFoundError:
            missing.append(Trouble(key=key, of=held.of, detail="It is not in the store."))
            continue
        hashed += size
        if fault := _fault(held, seen=seen, size=size):
            damaged.append(Trouble(key=key, of=held.of, detail=fault))
    found, foreign = inventory.listed(store, tenant_id=tenant_id)
    orphaned = _orphans(found, known)
    return Verified(
        objects=len(known.held),
        bytes=hashed,
        sound=len(known.held) - len(missing) - len(damaged),
        missing_count=len(missing),
        missing=missing[:MOST_LISTED],
        damaged_count=len(damaged),
        damaged=damaged[:MOST_LISTED],
        orphaned_count=len(orphaned),
        orphaned_bytes=sum(one.bytes for one in orphaned),
        orphaned=sorted(one.key for one in orphaned)[:MOST_LISTED],
        foreign_count=len(foreign),
        foreign=foreign[:MOST_LISTED],
    )


def _hash(file: io.BufferedReader) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _fault(held: inventory.Held, *, seen: str, size: int) -> str | None:
    if held.bytes is not None and size != held.bytes:
        return f"It has {size} bytes, not {held.bytes}."
    return None if seen == held.sha256 else f"It has SHA-256 {seen}, not {held.sha256}."


def _orphans(found: list[Listed], known: inventory.Inventory) -> list[Listed]:
    taken_at = next((one.modified_at for one in found if one.key == known.pin.key), 0)
    return [one for one in found if not known.holds(one.key) and one.modified_at < taken_at - _FRESH_MS]
