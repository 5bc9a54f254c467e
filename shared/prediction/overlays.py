"""Overlays: the rows that were pushed since a feature set was published, in small objects that a manifest names."""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from shared.objects import store

_FOLDER = "Serving-overlays"
"""Capital, because no tenant is called so, and a tenant's objects are in a folder of its name."""
_MAX_BYTES = 1 << 30

Row = tuple[int, dict[str, Any]]
"""When a row was pushed last, in epoch milliseconds, and the values that were pushed, by column."""


def write(objects: store.Store, rows: Iterable[tuple[str, int, Mapping[str, Any]]]) -> str:
    """Write rows, each with the hash of its key in hexadecimal, and return the key of the object."""
    content = orjson.dumps([[key_hash, pushed_at, values] for key_hash, pushed_at, values in rows])
    key = f"{_FOLDER}/{hashlib.sha256(content).hexdigest()}.json"
    # Another sweeper may have written the same.
    with contextlib.suppress(FileExistsError), objects.write(key) as file:
        file.write(content)
    return key


def read(objects: store.Store, key: str) -> dict[bytes, Row]:
    """Read rows by the hash of their key; raises FileNotFoundError, and DamagedError when they can't be read."""
    with objects.open_read(key) as file:
        content = file.read(_MAX_BYTES)
    try:
        return {bytes.fromhex(key_hash): (pushed_at, values) for key_hash, pushed_at, values in orjson.loads(content)}
    except (ValueError, TypeError) as error:
        raise store.DamagedError(f"The overlay {key} can't be read: {type(error).__name__}.") from error
