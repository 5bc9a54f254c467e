"""What shadows said, in the prediction role's database: sums by shadow, answering version and hour."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from shared import database
from shared.prediction.shadows import sums
from shared.prediction.tables import shadow_sums

HOUR_MS = 3_600_000


@dataclasses.dataclass(frozen=True, order=True)
class Shadow:
    """A version that shadows a deployment."""

    id: int
    """The revision of the deployment with which it began."""
    model: str
    """The reference under which the deployment names it."""
    version: int

    @property
    def label(self) -> str:
        """The version as `name@version`."""
        return f"{self.model.partition('@')[0]}@{self.version}"


@dataclasses.dataclass(frozen=True, order=True)
class Key:
    """What sums are of."""

    tenant_id: str
    deployment: str
    shadow: Shadow
    answered_by: str
    """The version that answered, as `name@version`; empty for rows that were lost, or that the shadow failed at."""
    started_at: int
    """The hour, in epoch milliseconds."""


def hour_of(at_ms: int) -> int:
    """Compute the beginning of an hour."""
    return at_ms - at_ms % HOUR_MS


def add(connection: sa.Connection, added: Mapping[Key, Mapping[str, Any]]) -> None:
    """Add to what is there."""
    table = shadow_sums
    # In order, so that two that add at once wait for each other instead of deadlocking.
    for key in sorted(added):
        names = {
            "tenant_id": key.tenant_id,
            "deployment": key.deployment,
            "shadow": key.shadow.id,
            "model": key.shadow.model,
            "version": key.shadow.version,
            "answered_by": key.answered_by,
            "started_at": key.started_at,
        }
        connection.execute(database.insert(connection, table).values(**names, sums={}).on_conflict_do_nothing())
        this = [table.c[name] == value for name, value in names.items()]
        before = connection.execute(sa.select(table.c.sums).where(*this).with_for_update()).scalar_one()
        connection.execute(sa.update(table).where(*this).values(sums=sums.merge(before, added[key])))


def read(
    connection: sa.Connection, *, tenant_id: str, deployment: str, shadows: Iterable[int]
) -> dict[tuple[Shadow, str], sums.Sums]:
    """Read the sums of shadows that began with some revisions, over all hours, by shadow and answering version."""
    table = shadow_sums
    rows = connection.execute(
        sa.select(table)
        .where(
            table.c.tenant_id == tenant_id,
            table.c.deployment == deployment,
            table.c.shadow.in_(list(shadows)),
        )
        .order_by(table.c.started_at)
    )
    found: dict[tuple[Shadow, str], sums.Sums] = {}
    for row in rows:
        key = (Shadow(row.shadow, row.model, row.version), row.answered_by)
        found[key] = sums.merge(found.get(key, {}), row.sums)
    return found
