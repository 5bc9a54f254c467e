"""A model's lineage as a graph: upstream to the sources of its data, downstream to what was made with it."""

import hashlib
import json
from collections.abc import Iterator, Set
from typing import Any

from api.reads import lineage_rows
from api.reads.lineage_rows import LineageRow
from shared import clock, database, errors
from shared.catalog.lineage import SOURCES, Node, list_layers, parse_digest

_LEAVES = frozenset({"evaluation"})
"""Types of which nothing is made."""


def graph(databases: database.Databases, tenant_id: str, root: Node, *, depth: int, limit: int) -> dict[str, Any]:
    """Walk from a node in both directions, and describe the graph; raises NotFoundError when the root has no row."""
    walk = _Walk(lineage_rows.Rows(databases, tenant_id), limit=limit)
    walk.add([root])
    walk.walk_upstream([root], depth=depth)
    walk.walk_downstream([root], depth=depth)
    document = walk.describe(root)
    if document["nodes"][0]["status"] == "missing":
        raise errors.NotFoundError(f"There is no {root[1]} here.")
    return document


class _Walk:
    """The nodes that were reached, in that order, each with its row."""

    def __init__(self, rows: lineage_rows.Rows, *, limit: int) -> None:
        self._limit = limit
        self._rows = rows
        self._reached: dict[Node, LineageRow | None] = {}
        self._truncated = False

    def add(self, nodes: list[Node], *, made_of: Set[Node] = frozenset()) -> list[Node]:
        """Add nodes, as many as the limit allows; returns those that are new.

        When several versions have equal bytes, a node was made of only one of them: with `made_of`, nodes that were
        made of none of these are left out.
        """
        new = [node for node in dict.fromkeys(nodes) if node not in self._reached]
        remaining = max(0, self._limit - len(self._reached))
        self._truncated |= len(new) > remaining
        rows = self._rows.find(new[:remaining])
        reached = {node: rows.get(node) for node in new[:remaining]}
        self._reached |= {
            node: row
            for node, row in reached.items()
            if not made_of or row is None or not made_of.isdisjoint(row.sources)
        }
        return [node for node in reached if node in self._reached]

    def walk_upstream(self, nodes: list[Node], *, depth: int) -> None:
        """Add what nodes were made of, level by level."""
        for _ in range(depth):
            nodes = self.add(self._list_sources(nodes))
        self._truncated |= any(node not in self._reached for node in self._list_sources(nodes))

    def walk_downstream(self, nodes: list[Node], *, depth: int) -> None:
        """Add what was made of nodes, level by level, each with everything else that it was made of."""
        visited = set(nodes)
        for _ in range(depth):
            parents = {node: self._reached[node] for node in nodes if node[0] not in _LEAVES}
            derived = self._rows.find_derived(parents, limit=self._limit + 1)
            nodes = [node for node in derived if node not in visited]
            visited |= set(nodes)
            self.add(nodes, made_of=parents.keys())
            nodes = [node for node in nodes if node in self._reached]
            self.add(self._list_sources(nodes))
        self._truncated |= any(node[0] not in _LEAVES for node in nodes)

    def _list_sources(self, nodes: list[Node]) -> list[Node]:
        rows = (self._reached.get(node) for node in nodes)
        return [source for row in rows if row is not None for source in row.sources]

    def describe(self, root: Node) -> dict[str, Any]:
        """Describe the graph: its nodes, and an edge from each source to what was made of it."""
        documents = {node: self._describe_node(node, row) for node, row in self._reached.items()}
        edges = []
        for node, row in self._reached.items():
            origins = [_id(source) for source in self._list_sources([node]) if source in documents]
            for external in _describe_external_sources(row):
                documents["source", external["id"]] = external
                origins.append(external["id"])
            edges += [{"from": origin, "to": _id(node), "by": row.job_id if row else None} for origin in origins]
        return {
            "root": _id(root),
            "nodes": list(documents.values()),
            "edges": edges,
            "truncated": self._truncated,
            "unavailable": self._rows.unavailable,
        }

    def _describe_node(self, node: Node, row: LineageRow | None) -> dict[str, Any]:
        name, _, version = node[1].partition("@")
        number = int(version) if version and not parse_digest(node[1]) else None
        document = {"id": _id(node), "type": node[0], "name": name, "version": number}
        if row is None:
            is_unavailable = not self._rows.keepers(node[0]).isdisjoint(self._rows.unavailable)
            status = "unavailable" if is_unavailable else "missing"
            return {**document, "sha256": self._pinned_digest(node), "created_at": None, "job": None, "status": status}
        return {
            **document,
            "sha256": row.sha256,
            "created_at": clock.to_text(row.created_at),
            "job": row.job_id,
            "status": "deleted" if row.is_deleted else "present",
        }

    def _pinned_digest(self, node: Node) -> str | None:
        """Find the SHA-256 that a node without a row had when something was made of it."""
        if digest := parse_digest(node[1]):
            return digest
        for row in self._reached.values():
            for key in SOURCES if row else ():
                if row and row.lineage.get(key) == node[1] and SOURCES[key] == node[0]:
                    return row.lineage.get(f"{key}_sha256")
        return None


def _id(node: Node) -> str:
    return ":".join(node)


def _describe_external_sources(row: LineageRow | None) -> Iterator[dict[str, Any]]:
    """Describe where a node's data came from: an upload, a URL, a query, and each archive that it was imported with."""
    for layer in list_layers(row.lineage) if row else ():
        source = layer.get("source")
        if isinstance(source, dict):
            yield _describe_source(source)


def _describe_source(source: dict[str, Any]) -> dict[str, Any]:
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
