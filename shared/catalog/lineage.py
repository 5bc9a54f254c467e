"""What was made of what: whoever keeps a new thing notes an edge from each thing that it was made of.

A thing's own row says what it was made of, under the keys of `SOURCES` in its lineage. The edges are for the way
down, from a thing to what was made of it: they are kept by the role that made the later thing, in the transaction
that made it, so that they are as true as its row.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import database
from shared.catalog import kept_tables

SOURCES: Mapping[str, str] = {key: thing.type for thing in kept_tables.THINGS.values() for key in thing.lineage_keys}
"""The keys of a lineage that name a thing as `name@version`, each with the type of that thing."""
Thing = tuple[str, str]
"""A type and a label: `("dataset", "telco@1")`, or `telco@` and a SHA-256 where a number says nothing here."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
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


def sources(lineage: Mapping[str, Any]) -> list[Thing]:
    """Give each thing that a lineage names.

    What an archive brought was made of versions that may have other numbers here, or not be here. These are named by
    what they hold, as `name@sha256`, so that an edge is true whichever of them comes first.
    """
    named = [(made, lineage[key]) for key, made in SOURCES.items() if isinstance(lineage.get(key), str)]
    return list(dict.fromkeys(named)) if "original" not in lineage else list(elsewhere(lineage))


def brought(original: Any, *, source: Mapping[str, Any], digests: Mapping[Thing, str]) -> dict[str, Any]:
    """Give the lineage of what an archive brought; `digests` are the SHA-256 of what else is in the archive.

    A lineage that lacks the SHA-256 of what it names is given it, since numbers alone say nothing here.
    """
    if not isinstance(original, dict) or "original" in original:
        return {"source": source, "original": original}
    held = {f"{key}_sha256": digests.get((made, str(original.get(key)))) for key, made in SOURCES.items()}
    return {"source": source, "original": {**{key: digest for key, digest in held.items() if digest}, **original}}


def layers(lineage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give a lineage and those that it had before an archive brought it here, that of where it was made last."""
    found = [lineage]
    while isinstance(original := found[-1].get("original"), dict):
        found.append(original)
    return found


def elsewhere(lineage: Mapping[str, Any]) -> dict[Thing, dict[str, Any]]:
    """Give what a thing that an archive brought was made of, each with the `source` of what came by the same archive.

    What has no SHA-256 is left out: nobody can tell what it is here.
    """
    *archived, made_there = layers(lineage)
    found = {}
    for key, made in SOURCES.items():
        name, _, version = str(made_there.get(key)).partition("@")
        digest = made_there.get(f"{key}_sha256")
        if archived and version.isdecimal() and digest:
            source = {**(archived[-1].get("source") or {}), "name": name, "version": int(version)}
            found[made, by_content(name, digest)] = source
    return found


def by_content(name: str, digest: str) -> str:
    """Label a version by what it holds; such a label takes no more room in an edge than its column has."""
    return f"{name}@{digest}"


def content_of(label: str) -> str | None:
    """Give the SHA-256 by which a label names a version; None when it is a version's number."""
    end = label.partition("@")[2]
    return end if _DIGEST.fullmatch(end) else None


def fitted_on(lineage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the data that a model has learned from, each as `dataset` and `dataset_sha256`, the oldest first.

    A model that was brought by an archive has these in the lineage that it had where it came from; since the number of
    a version there is another's here, the archive is named with it.
    """
    *archived, known = layers(lineage)
    data = [*known.get("earlier", []), {name: known.get(name) for name in ("dataset", "dataset_sha256")}]
    archive = (archived[-1].get("source") or {}).get("sha256") if archived else None
    return [{**one, "dataset": f"{one['dataset']} of the archive {archive[:12]}"} for one in data] if archive else data


def note_lineage(
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


def made_of(connection: sa.Connection, things: Sequence[Thing], *, tenant_id: str, limit: int) -> list[Thing]:
    """Give the type and label of what a role made of some things, of each the newest `limit`."""
    found: list[Thing] = []
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
