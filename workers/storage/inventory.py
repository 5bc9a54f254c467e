"""Reads the inventory that the API has pinned to a job; `api.intake.holdings` says what its lines are."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import orjson

from shared import contract
from shared.objects.store import Listed, Store

_JOB_PART = 2
"""A job's key is `tenant/role/job/attempt/name`."""


@dataclasses.dataclass(frozen=True)
class Held:
    """What an object must be, and what points at it."""

    sha256: str
    bytes: int | None
    of: str


@dataclasses.dataclass(frozen=True)
class Inventory:
    """What rows and live jobs held when the job was accepted."""

    pin: contract.UploadPin
    held: dict[str, Held]
    """By key."""
    live: frozenset[str]
    """Ids of the jobs that were live, and of their children."""
    retired: list[dict[str, Any]]

    def holds(self, key: str) -> bool:
        """Tell whether an object must stay: somebody points at it, or its job was live and may still do so."""
        parts = key.split("/")
        return key in self.held or key == self.pin.key or (len(parts) > _JOB_PART and parts[_JOB_PART] in self.live)


def lines(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Give the lines of an inventory's file."""
    with path.open("rb") as file:
        yield from map(orjson.loads, file)


def read(path: pathlib.Path, *, pin: contract.UploadPin) -> Inventory:
    """Read an inventory's file."""
    held: dict[str, Held] = {}
    live: set[str] = set()
    retired: list[dict[str, Any]] = []
    for line in lines(path):
        if "job" in line:
            live.add(line["job"])
        elif "retired" in line:
            retired.append(line["retired"])
        else:
            held.setdefault(line["key"], Held(line["sha256"], line["bytes"], line["of"]))
    return Inventory(pin, held, frozenset(live), retired)


def listed(store: Store, *, tenant_id: str) -> tuple[list[Listed], list[str]]:
    """Give a tenant's objects, and the names of foreign things that lie among them, in order."""
    found = list(store.list(tenant_id))
    return [one for one in found if not one.is_foreign], sorted(one.key for one in found if one.is_foreign)
