"""Lineage: which dataset, feature set, model or evaluation was made of which others.

Upstream, a row's own lineage names what it was made of, under the keys of `SOURCES`. Downstream, from a source to what
was made of it, there are edges: the role that makes something writes an edge from each of its sources, in the
transaction that writes its row. docs/decisions/datasets.md, "What was made of what is an edge in the database of the
role that made the later thing" and "What an archive brings names what it was made of by SHA-256".
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import database
from shared.catalog import kept_tables

SOURCES: Mapping[str, str] = {key: kept.type for kept in kept_tables.TYPES.values() for key in kept.lineage_keys}
"""The keys of a lineage whose values are versions, as `name@version`, each with the type of these versions."""
MODELS = "models"
"""The key of a lineage whose value lists several versions of models: what the versions of a deployment predicted."""
Node = tuple[str, str]
"""A type and a label: `("dataset", "telco@1")`, or `telco@` and a SHA-256 for a version with a foreign number."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_SELECTS = 100
"""The most SELECTs in one UNION; SQLite allows 500."""


def add_table(metadata: sa.MetaData) -> sa.Table:
    """Add the table of edges to a role's metadata; its key is the order in which it is read."""
    return sa.Table(
        "lineage_edges",
        metadata,
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("source_type", sa.String(16), primary_key=True),
        sa.Column("source", sa.String(128), primary_key=True),
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("target_type", sa.String(16), primary_key=True),
        sa.Column("target", sa.String(128), primary_key=True),
    )


EDGES = add_table(sa.MetaData())


def list_sources(lineage: Mapping[str, Any]) -> list[Node]:
    """List the versions that a lineage names.

    What was imported from an archive was made of versions that may have other numbers here, or be missing here. These
    are named by their content, as `name@sha256`, so that an edge is true in whatever order they are imported.
    """
    named = [(type_, lineage[key]) for key, type_ in SOURCES.items() if isinstance(lineage.get(key), str)]
    named += [(kept_tables.MODEL.type, label) for label in lineage.get(MODELS) or []]
    return list(dict.fromkeys(named)) if "original" not in lineage else list(find_imported_sources(lineage))


def build_imported_lineage(original: Any, *, source: Mapping[str, Any], digests: Mapping[Node, str]) -> dict[str, Any]:
    """Build the lineage of an imported version; `digests` has the SHA-256 of each version in the archive.

    SHA-256s that the original lineage lacks are added, since the numbers of another system mean nothing here.
    """
    if not isinstance(original, dict) or "original" in original:
        return {"source": source, "original": original}
    sha256s = {f"{key}_sha256": digests.get((type_, str(original.get(key)))) for key, type_ in SOURCES.items()}
    return {"source": source, "original": {**{key: digest for key, digest in sha256s.items() if digest}, **original}}


def list_layers(lineage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List a lineage and those that it had before each import, the oldest, of the system where it was made, last."""
    layers = [lineage]
    while isinstance(original := layers[-1].get("original"), dict):
        layers.append(original)
    return layers


def find_imported_sources(lineage: Mapping[str, Any]) -> dict[Node, dict[str, Any]]:
    """Find what an imported version was made of, each with the `source` that it has if the same archive had it.

    Sources without a SHA-256 are left out: they can't be recognized here.
    """
    *imports, original = list_layers(lineage)
    sources = {}
    for key, type_ in SOURCES.items():
        name, _, version = str(original.get(key)).partition("@")
        digest = original.get(f"{key}_sha256")
        if imports and version.isdecimal() and digest:
            source = {**(imports[-1].get("source") or {}), "name": name, "version": int(version)}
            sources[type_, label_by_digest(name, digest)] = source
    return sources


def label_by_digest(name: str, digest: str) -> str:
    """Label a version by its content; the label fits into an edge's column of 128 characters."""
    return f"{name}@{digest}"


def parse_digest(label: str) -> str | None:
    """Return the SHA-256 by which a label names a version; None when it names it by number."""
    end = label.partition("@")[2]
    return end if _DIGEST.fullmatch(end) else None


def list_training_data(lineage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the data that a model has learned from, each as `dataset` and `dataset_sha256`, the oldest first.

    `where` is the condition on the rows that were learned from, if there was one.

    An imported model has these in its original lineage; since a number of that system may be another version's here,
    the label then names the archive too.
    """
    *imports, original = list_layers(lineage)
    latest = {name: original.get(name) for name in ("dataset", "dataset_sha256")}
    if isinstance(original.get("where"), dict):
        latest["where"] = original["where"].get("expression")
    data = [*original.get("earlier", []), latest]
    archive = (imports[-1].get("source") or {}).get("sha256") if imports else None
    if not archive:
        return data
    return [{**entry, "dataset": f"{entry['dataset']} of the archive {archive[:12]}"} for entry in data]


def note_lineage(
    connection: sa.Connection, type_: str, label: str, *, tenant_id: str, job_id: str, lineage: Mapping[str, Any]
) -> None:
    """Write the edges of a new version or evaluation, in the transaction that writes its row."""
    rows = [
        {
            "tenant_id": tenant_id,
            "source_type": source_type,
            "source": source,
            "job_id": job_id,
            "target_type": type_,
            "target": label,
        }
        for source_type, source in list_sources(lineage)
    ]
    if rows:
        connection.execute(database.insert(connection, EDGES).on_conflict_do_nothing(), rows)


def list_derived(connection: sa.Connection, sources: Sequence[Node], *, tenant_id: str, limit: int) -> list[Node]:
    """List what a role made of some sources, of each source the newest `limit`."""
    derived: list[Node] = []
    for start in range(0, len(sources), _MAX_SELECTS):
        # Each source has a SELECT that reads its newest edges in the order of the key, however many there are.
        selects = [
            _select_newest(source_type, source, tenant_id=tenant_id, limit=limit)
            for source_type, source in sources[start : start + _MAX_SELECTS]
        ]
        derived += [(row.target_type, row.target) for row in connection.execute(sa.union_all(*selects))]
    return list(dict.fromkeys(derived))


def _select_newest(source_type: str, source: str, *, tenant_id: str, limit: int) -> sa.Select[Any]:
    newest = (
        sa.select(EDGES.c.target_type, EDGES.c.target)
        .where(EDGES.c.tenant_id == tenant_id, EDGES.c.source_type == source_type, EDGES.c.source == source)
        .order_by(EDGES.c.job_id.desc())
        .limit(limit)
        .subquery()
    )
    return sa.select(newest.c.target_type, newest.c.target)
