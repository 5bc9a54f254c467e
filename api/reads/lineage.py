"""A model's lineage as a graph: up to the sources of its data, down to what was predicted and made with it."""

import hashlib
import json
from collections.abc import Iterator, Set
from typing import Any

from api.reads import lineage_rows
from api.reads.lineage_rows import Found
from shared import clock, database, errors
from shared.catalog.lineage import SOURCES, Thing, content_of, layers

_LEAVES = frozenset({"evaluation"})
"""Types of which nothing is made."""


def graph(databases: database.Databases, tenant_id: str, root: Thing, *, depth: int, limit: int) -> dict[str, Any]:
    """Walk from a thing in both directions, and describe the graph; raises NotFoundError when the thing isn't there."""
    walk = _Walk(lineage_rows.Rows(databases, tenant_id), limit=limit)
    walk.add([root])
    walk.up([root], depth=depth)
    walk.down([root], depth=depth)
    found = walk.document(root)
    if found["nodes"][0]["status"] == "missing":
        raise errors.NotFoundError(f"There is no {root[1]} here.")
    return found


class _Walk:
    """The things that were met, in the order in which they were."""

    def __init__(self, rows: lineage_rows.Rows, *, limit: int) -> None:
        self._limit = limit
        self._rows = rows
        self._met: dict[Thing, Found | None] = {}
        self._truncated = False

    def add(self, things: list[Thing], *, made_of: Set[Thing] = frozenset()) -> list[Thing]:
        """Meet things, as many as there is room for; gives those that are new.

        Of several versions that hold the same only one is what a thing was made of: where `made_of` is given, things
        are left out that were made of another.
        """
        new = [thing for thing in dict.fromkeys(things) if thing not in self._met]
        room = max(0, self._limit - len(self._met))
        self._truncated |= len(new) > room
        found = self._rows.find(new[:room])
        met = {thing: found.get(thing) for thing in new[:room]}
        self._met |= {
            thing: row
            for thing, row in met.items()
            if not made_of or row is None or not made_of.isdisjoint(row.sources)
        }
        return [thing for thing in met if thing in self._met]

    def up(self, things: list[Thing], *, depth: int) -> None:
        """Meet what things were made of, and what that was made of."""
        for _ in range(depth):
            things = self.add(self._sources_of(things))
        self._truncated |= any(thing not in self._met for thing in self._sources_of(things))

    def down(self, things: list[Thing], *, depth: int) -> None:
        """Meet what was made of things, and what was made of that; each with all that it was made of."""
        seen = set(things)
        for _ in range(depth):
            above = {thing: self._met[thing] for thing in things if thing[0] not in _LEAVES}
            made = self._rows.made_of(above, limit=self._limit + 1)
            things = [thing for thing in made if thing not in seen]
            seen |= set(things)
            self.add(things, made_of=above.keys())
            things = [thing for thing in things if thing in self._met]
            self.add(self._sources_of(things))
        self._truncated |= any(thing[0] not in _LEAVES for thing in things)

    def _sources_of(self, things: list[Thing]) -> list[Thing]:
        rows = (self._met.get(thing) for thing in things)
        return [source for row in rows if row is not None for source in row.sources]

    def document(self, root: Thing) -> dict[str, Any]:
        """Give the graph as a client sees it."""
        nodes = {thing: self._node(thing, row) for thing, row in self._met.items()}
        edges = []
        for thing, row in self._met.items():
            origins = [_id(source) for source in self._sources_of([thing]) if source in nodes]
            for outside in _outside(row):
                nodes["source", outside["id"]] = outside
                origins.append(outside["id"])
            edges += [{"from": origin, "to": _id(thing), "by": row.job_id if row else None} for origin in origins]
        return {
            "root": _id(root),
            "nodes": list(nodes.values()),
            "edges": edges,
            "truncated": self._truncated,
            "unavailable": self._rows.unavailable,
        }

    def _node(self, thing: Thing, row: Found | None) -> dict[str, Any]:
        name, _, version = thing[1].partition("@")
        number = int(version) if version and not content_of(thing[1]) else None
        known = {"id": _id(thing), "type": thing[0], "name": name, "version": number}
        if row is None:
            lost = set(self._rows.unavailable) & self._rows.keepers(thing[0])
            status = "unavailable" if lost else "missing"
            return {**known, "sha256": self._pinned(thing), "created_at": None, "job": None, "status": status}
        return {
            **known,
            "sha256": row.sha256,
            "created_at": clock.to_text(row.created_at),
            "job": row.job_id,
            "status": "deleted" if row.is_deleted else "present",
        }

    def _pinned(self, thing: Thing) -> str | None:
        """Give the SHA-256 that a thing without a row had when something was made of it."""
        if digest := content_of(thing[1]):
            return digest
        for row in self._met.values():
            for key in SOURCES if row else ():
                if row and row.lineage.get(key) == thing[1] and SOURCES[key] == thing[0]:
                    return row.lineage.get(f"{key}_sha256")
        return None


def _id(thing: Thing) -> str:
    return ":".join(thing)


def _outside(row: Found | None) -> Iterator[dict[str, Any]]:
    """Give the nodes of where a thing came from: an upload, a URL, a query, and each archive that brought it."""
    for layer in layers(row.lineage) if row else ():
        source = layer.get("source")
        if isinstance(source, dict):
            yield _source(source)


def _source(source: dict[str, Any]) -> dict[str, Any]:
    digest = source.get("sha256") or hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()
    name = source.get("url") or source.get("connection") or source.get("type")
    return {
        "id": f"source:{source.get('type')}:{digest}",
        "type": "source",
        "name": str(name),
        "version": None,
        "sha256": source.get("sha256"),
        "created_at": None,
        "job": None,
        "status": "present",
    }
