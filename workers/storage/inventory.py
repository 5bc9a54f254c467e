"""Reads the inventory that the API has pinned to a job; `api.intake.holdings` describes its lines.

docs/decisions/storage.md, "The API writes down what is held, and the storage worker deletes the rest".
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import orjson

from shared import contract, roles
from shared.objects.store import Listed, Store

_JOB_PART = 2
"""A job's key is `tenant/role/job/attempt/name`."""
_OWN = re.compile(rf"(uploads|holdings)/[^/]+|({'|'.join(roles.ROLES)})/\2_[^/]+/[0-9]+/[^/]+")
"""What follows the tenant in a key: an upload, an inventory, or what a job wrote."""


@dataclasses.dataclass(frozen=True)
class HeldObject:
    """The expected hash and size of an object, and what points at it."""

    sha256: str
    bytes: int | None
    of: str


@dataclasses.dataclass(frozen=True)
class Inventory:
    """The objects that rows and live jobs pointed at when the job was accepted."""

    pin: contract.UploadPin
    held: dict[str, HeldObject]
    """By key."""
    live: frozenset[str]
    """Ids of the jobs that were live, and of their children."""
    retired: list[dict[str, Any]]
    """The versions that the API retired with this job, each as a document of `Retired`."""

    def holds(self, key: str) -> bool:
        """Return whether an object must stay: something points at it, or its job was live and may still do so."""
        parts = key.split("/")
        return key in self.held or key == self.pin.key or (len(parts) > _JOB_PART and parts[_JOB_PART] in self.live)


def read_lines(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Read the lines of an inventory's file."""
    with path.open("rb") as file:
        yield from map(orjson.loads, file)


def read_inventory(path: pathlib.Path, *, pin: contract.UploadPin) -> Inventory:
    """Read an inventory's file."""
    held: dict[str, HeldObject] = {}
    live: set[str] = set()
    retired: list[dict[str, Any]] = []
    for line in read_lines(path):
        if "job" in line:
            live.add(line["job"])
        elif "retired" in line:
            retired.append(line["retired"])
        else:
            held.setdefault(line["key"], HeldObject(line["sha256"], line["bytes"], line["of"]))
    return Inventory(pin, held, frozenset(live), retired)


def list_objects(store: Store, *, tenant_id: str) -> tuple[list[Listed], list[str]]:
    """List a tenant's objects, and the sorted names of foreign files among them.

    Left out is what has another form than the keys that are made for a tenant: keys of earlier releases may belong to a
    tenant whose name begins with this one's and a slash.
    """
    files = list(store.list(tenant_id))
    own = [file for file in files if not file.is_foreign and _OWN.fullmatch(file.key, len(tenant_id) + 1)]
    return own, sorted(file.key for file in files if file.is_foreign)
