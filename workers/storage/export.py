"""Packs versions into an archive."""

import functools
import pathlib

from shared import digests
from shared.catalog import archives
from shared.objects.store import Store
from workers.storage import inventory


def read_sources(path: pathlib.Path, *, store: Store) -> list[archives.Source]:
    """Read the versions that an inventory lists, in its order, each with a function that opens its object."""
    return [
        archives.Source(archives.Item.model_validate(line["item"]), functools.partial(store.open_read, line["key"]))
        for line in inventory.read_lines(path)
    ]


def pack(target: pathlib.Path, sources: list[archives.Source], *, tenant: str, created_at: str, key: bytes) -> str:
    """Write an archive, and return its SHA-256."""
    with target.open("xb") as file:
        archives.write(file, sources, tenant=tenant, created_at=created_at, key=key)
    return digests.of_file(target)
