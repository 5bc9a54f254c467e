"""Reads what a lineage names, from the database of the role that keeps it; a role that is down is left out."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from api import door
from shared import database, datasets, lineage
from shared.evaluation import tables as evaluation
from shared.processing import tables as processing
from shared.training import tables as training

T = TypeVar("T")
Thing = tuple[str, str]
"""A type and a label: `("dataset", "telco@1")`."""

_VERSIONS: tuple[tuple[str, str, sa.Table], ...] = (
    *(("dataset", role, datasets.VERSIONS) for role in datasets.ROLES),
    ("features", "processing", processing.feature_versions),
    ("model", "training", training.model_versions),
)
_MAKERS = ("ingestion", "processing", "training", "evaluation", "prediction")
_MOST_AT_ONCE = 100


@dataclasses.dataclass(frozen=True)
class Found:
    """A thing's row."""

    thing: Thing
    job_id: str
    created_at: int
    lineage: dict[str, Any]
    sha256: str | None = None
    is_deleted: bool = False


class Rows:
    """The rows of one tenant; once a role's database was seen to be down, it is not asked again."""

    def __init__(self) -> None:
        """Read for the client of this request."""
        self._tenant_id = door.client().tenant_id
        self.unavailable: list[str] = []

    def find(self, things: Sequence[Thing]) -> dict[Thing, Found]:
        """Read the rows of things; one that isn't there, or whose database is down, is left out."""
        found: dict[Thing, Found] = {}
        for made, role, table in _VERSIONS:
            wanted = [thing for thing in things if thing[0] == made and thing not in found]
            read = functools.partial(self._versions, table=table, things=wanted)
            found |= {row.thing: row for row in (self._ask(role, read) if wanted else [])}
        scores = [label for made, label in things if made == "evaluation"]
        read = functools.partial(self._evaluations, labels=scores)
        return found | {row.thing: row for row in (self._ask("evaluation", read) if scores else [])}

    def made_of(self, things: Sequence[Thing], *, limit: int) -> list[Thing]:
        """Give what any role has made of things, of each thing the newest `limit`."""
        found: list[Thing] = []
        for role in _MAKERS:
            found += self._ask(role, lambda c: lineage.made_of(c, things, tenant_id=self._tenant_id, limit=limit))
        return list(dict.fromkeys(found))

    def keepers(self, made: str) -> set[str]:
        """Give the roles that may keep a thing of a type."""
        return {role for kind, role, _ in _VERSIONS if kind == made} or {made}

    def _ask(self, role: str, read: Callable[[sa.Connection], list[T]]) -> list[T]:
        if role in self.unavailable:
            return []
        try:
            with door.current().databases[role].statements.connect() as connection:
                return read(connection)
        except database.FAULTS:
            self.unavailable.append(role)
            return []

    def _versions(self, connection: sa.Connection, *, table: sa.Table, things: Sequence[Thing]) -> list[Found]:
        names = ("name", "version", "job_id", "created_at", "deleted_at", "sha256", "lineage")
        wanted = [label.partition("@")[::2] for _, label in things]
        found = []
        for start in range(0, len(wanted), _MOST_AT_ONCE):
            # Spelt out, because SQLite reads the whole table for a pair IN a list of pairs.
            chosen = [
                sa.and_(table.c.name == name, table.c.version == int(version))
                for name, version in wanted[start : start + _MOST_AT_ONCE]
            ]
            rows = connection.execute(
                sa.select(*(table.c[name] for name in names)).where(
                    sa.or_(*(sa.and_(table.c.tenant_id == self._tenant_id, one) for one in chosen))
                )
            )
            for row in rows:
                thing = (things[0][0], f"{row.name}@{row.version}")
                gone = row.deleted_at is not None
                found.append(Found(thing, row.job_id, row.created_at, row.lineage, row.sha256, gone))
        return found

    def _evaluations(self, connection: sa.Connection, *, labels: Sequence[str]) -> list[Found]:
        table = evaluation.evaluations
        rows = connection.execute(
            sa.select(
                table.c.id, table.c.job_id, table.c.created_at, table.c.model, table.c.dataset, table.c.lineage
            ).where(table.c.tenant_id == self._tenant_id, table.c.id.in_(labels))
        )
        return [
            Found(
                ("evaluation", row.id),
                row.job_id,
                row.created_at,
                {"model": row.model, "dataset": row.dataset, **row.lineage},
            )
            for row in rows
        ]
