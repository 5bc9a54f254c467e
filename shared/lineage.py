"""What was made of what: whoever keeps a new thing notes an edge from each thing that it was made of.

A thing's own row says what it was made of, under the keys of `SOURCES` in its lineage. The edges are for the way
down, from a thing to what was made of it: they are kept by the role that made the later thing, in the transaction
that made it, so that they are as true as its row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import database

SOURCES = {
    "base": "dataset",
    "dataset": "dataset",
    "features": "features",
    "model": "model",
    "parent": "model",
    "baseline": "model",
}
"""The keys of a lineage that name a thing as `name@version`, each with the type of that thing."""
_MOST_AT_ONCE = 100
"""Parts of one UNION; SQLite takes 500."""


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


def sources(lineage: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give the type and the `name@version` of each thing that a lineage names."""
    named = [(made, lineage[key]) for key, made in SOURCES.items() if isinstance(lineage.get(key), str)]
    return list(dict.fromkeys(named))


def fitted_on(lineage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the data that a model has learned from, each as `dataset` and `dataset_sha256`, the oldest first.

    A model that was brought by an archive has these in the lineage that it had where it came from.
    """
    original = lineage.get("original")
    known = original if isinstance(original, dict) else lineage
    return [*known.get("earlier", []), {name: known.get(name) for name in ("dataset", "dataset_sha256")}]


def note(
    connection: sa.Connection, made: str, label: str, *, tenant_id: str, job_id: str, lineage: Mapping[str, Any]
) -> None:
    """Note what a new thing was made of, in the transaction that writes its row."""
    rows = [
        {
            "tenant_id": tenant_id,
            "source_type": source_type,
            "source": source,
            "job_id": job_id,
            "target_type": made,
            "target": label,
        }
        for source_type, source in sources(lineage)
    ]
    if rows:
        connection.execute(database.insert(connection, EDGES).on_conflict_do_nothing(), rows)


def made_of(
    connection: sa.Connection, things: Sequence[tuple[str, str]], *, tenant_id: str, limit: int
) -> list[tuple[str, str]]:
    """Give the type and label of what a role made of some things, of each the newest `limit`."""
    found: list[tuple[str, str]] = []
    for start in range(0, len(things), _MOST_AT_ONCE):
        # A part for each thing reads its newest edges in the order of the key, however many there are.
        parts = [
            _newest(source_type, source, tenant_id=tenant_id, limit=limit)
            for source_type, source in things[start : start + _MOST_AT_ONCE]
        ]
        found += [(row.target_type, row.target) for row in connection.execute(sa.union_all(*parts))]
    return list(dict.fromkeys(found))


def _newest(source_type: str, source: str, *, tenant_id: str, limit: int) -> sa.Select[Any]:
    newest = (
        sa.select(EDGES.c.target_type, EDGES.c.target)
        .where(EDGES.c.tenant_id == tenant_id, EDGES.c.source_type == source_type, EDGES.c.source == source)
        .order_by(EDGES.c.job_id.desc())
        .limit(limit)
        .subquery()
    )
    return sa.select(newest.c.target_type, newest.c.target)
