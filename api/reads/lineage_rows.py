"""Reads the rows behind the nodes of a lineage from the databases that keep them; a database that is down is left out.

A lineage that came with an archive names its sources by SHA-256; the versions that have these bytes are looked up here.
See docs/decisions/datasets.md, "What an archive brings names what it was made of by SHA-256, and readers find the
version".
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from api.reads import kept
from shared import database
from shared.catalog import kept_tables, lineage
from shared.catalog.lineage import Node
from shared.evaluation.tables import evaluations

T = TypeVar("T")

_ROLES_WITH_EDGES = ("ingestion", "processing", "training", "evaluation", "prediction")
_BATCH_SIZE = 100


@dataclasses.dataclass(frozen=True)
class LineageRow:
    """The row of a node: a version, or an evaluation."""

    node: Node
    job_id: str
    created_at: int
    lineage: dict[str, Any]
    sha256: str | None = None
    is_deleted: bool = False
    sources: tuple[Node, ...] = ()
    """What it was made of: versions of this system, or labels by SHA-256 for what this system doesn't have."""


class Rows:
    """The rows of one tenant; a role whose database was down once is not queried again."""

    def __init__(self, databases: database.Databases, tenant_id: str) -> None:
        """Read the rows of a tenant."""
        self._databases = databases
        self._tenant_id = tenant_id
        self.unavailable: list[str] = []

    def find(self, nodes: Sequence[Node]) -> dict[Node, LineageRow]:
        """Read the rows of nodes; nodes without a row, or whose database is down, are left out."""
        rows: dict[Node, LineageRow] = {}
        for place in kept.places():
            candidates = [
                node
                for node in nodes
                if node[0] == place.type and node not in rows and not lineage.parse_digest(node[1])
            ]
            conditions = [_is_version(place.versions, node) for node in candidates]
            read = functools.partial(self._read_versions, place=place, conditions=conditions)
            rows |= {row.node: row for row in (self._query(place.role, read) if conditions else [])}
        evaluation_ids = [label for type_, label in nodes if type_ == "evaluation"]
        read = functools.partial(self._read_evaluations, evaluation_ids=evaluation_ids)
        rows |= {row.node: row for row in (self._query("evaluation", read) if evaluation_ids else [])}
        return self._add_sources(rows)

    def _add_sources(self, rows: dict[Node, LineageRow]) -> dict[Node, LineageRow]:
        """Add what nodes were made of; sources of imported nodes are replaced by local versions with equal bytes."""
        imported = {node: lineage.find_imported_sources(row.lineage) for node, row in rows.items()}
        candidates = self._find_by_digest(
            list(dict.fromkeys(source for sources in imported.values() for source in sources))
        )
        completed = {}
        for node, row in rows.items():
            local = {
                source: max(candidates[source], key=functools.partial(_preference, origin=origin)).node
                for source, origin in imported[node].items()
                if source in candidates
            }
            sources = [local.get(source, source) for source in lineage.list_sources(row.lineage)]
            completed[node] = dataclasses.replace(row, sources=tuple(sources))
        return completed

    def _find_by_digest(self, nodes: Sequence[Node]) -> dict[Node, list[LineageRow]]:
        """Read the versions that have the name and the SHA-256 of each node, whose label is `name@sha256`."""
        rows: dict[Node, list[LineageRow]] = {}
        for place in kept.places():
            conditions = [_has_digest(place.versions, node) for node in nodes if node[0] == place.type]
            read = functools.partial(self._read_versions, place=place, conditions=conditions)
            for row in self._query(place.role, read) if conditions else []:
                rows.setdefault(_node_by_digest(row), []).append(row)
        return rows

    def find_derived(self, rows: Mapping[Node, LineageRow | None], *, limit: int) -> list[Node]:
        """List what any role has made of nodes, or of versions with equal bytes: for each node the newest `limit`."""
        derived: list[Node] = []
        nodes = [*rows, *(_node_by_digest(row) for row in rows.values() if row and row.sha256)]
        for role in _ROLES_WITH_EDGES:
            derived += self._query(
                role, lambda connection: lineage.list_derived(connection, nodes, tenant_id=self._tenant_id, limit=limit)
            )
        return list(dict.fromkeys(derived))

    def keepers(self, type_: str) -> set[str]:
        """List the roles that may keep nodes of a type."""
        kept_type = kept_tables.TYPES.get(type_)
        return set(kept_type.keepers) if kept_type else {type_}

    def _query(self, role: str, read: Callable[[sa.Connection], list[T]]) -> list[T]:
        if role in self.unavailable:
            return []
        try:
            with self._databases[role].statements.connect() as connection:
                return read(connection)
        except database.FAULTS:
            self.unavailable.append(role)
            return []

    def _read_versions(
        self, connection: sa.Connection, *, place: kept.Place, conditions: Sequence[sa.ColumnElement[bool]]
    ) -> list[LineageRow]:
        table = place.versions
        names = ("name", "version", "job_id", "created_at", "deleted_at", "sha256", "lineage")
        lineage_rows = []
        for start in range(0, len(conditions), _BATCH_SIZE):
            batch = conditions[start : start + _BATCH_SIZE]
            rows = connection.execute(
                sa.select(*(table.c[name] for name in names)).where(
                    sa.or_(*(sa.and_(table.c.tenant_id == self._tenant_id, condition) for condition in batch))
                )
            )
            lineage_rows += [
                LineageRow(
                    node=(place.type, f"{row.name}@{row.version}"),
                    job_id=row.job_id,
                    created_at=row.created_at,
                    lineage=row.lineage,
                    sha256=row.sha256,
                    is_deleted=row.deleted_at is not None,
                )
                for row in rows
            ]
        return lineage_rows

    def _read_evaluations(self, connection: sa.Connection, *, evaluation_ids: Sequence[str]) -> list[LineageRow]:
        table = evaluations
        rows = connection.execute(
            sa.select(
                table.c.id, table.c.job_id, table.c.created_at, table.c.model, table.c.dataset, table.c.lineage
            ).where(table.c.tenant_id == self._tenant_id, table.c.id.in_(evaluation_ids))
        )
        return [
            LineageRow(
                node=("evaluation", row.id),
                job_id=row.job_id,
                created_at=row.created_at,
                lineage={"model": row.model, "dataset": row.dataset, **row.lineage},
            )
            for row in rows
        ]


# The conditions are joined by OR, because for pairs IN a list of pairs SQLite reads the whole table.


def _is_version(table: sa.Table, node: Node) -> sa.ColumnElement[bool]:
    name, _, version = node[1].partition("@")
    return sa.and_(table.c.name == name, table.c.version == int(version))


def _has_digest(table: sa.Table, node: Node) -> sa.ColumnElement[bool]:
    name, _, digest = node[1].partition("@")
    return sa.and_(table.c.name == name, table.c.sha256 == digest)


def _node_by_digest(row: LineageRow) -> Node:
    type_, label = row.node
    return type_, lineage.label_by_digest(label.partition("@")[0], row.sha256 or "")


def _preference(row: LineageRow, *, origin: dict[str, Any]) -> tuple[bool, bool, int]:
    """Rank versions with equal bytes: those not deleted first, then the one with the same origin, then the newest."""
    has_same_origin = lineage.list_layers(row.lineage)[-2:][0].get("source") == origin
    return not row.is_deleted, has_same_origin, int(row.node[1].partition("@")[2])
