"""Snapshots of deployments: what a deployment is at a revision, for the jobs that are pinned to that.

A job holds the name, the revision and where its versions' objects are; the rest, which may be large, is in a row that
all jobs of the revision share. docs/decisions/serving.md, "A job is pinned to a deployment's revision".
"""

import dataclasses
from typing import Any

import sqlalchemy as sa

from shared import database, fingerprints
from shared.prediction import changes
from shared.prediction.tables import deployment_snapshots, deployments

_snapshots = deployment_snapshots
MARK_CHARACTERS = 16


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A deployment at a revision: its state, and the pins of its versions by their references."""

    name: str
    revision: int
    state: dict[str, Any]
    pins: dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a job that is pinned to a revision needs to know of it."""

    revision: int
    models: dict[str, dict[str, Any]]
    """Where the objects of its versions are, by `name@version`: each with `key` and `sha256`."""
    columns: list[str]
    """The columns that the versions of its routes need."""
    sticky_key: str | None
    mark: str
    """The same for equal snapshots only: one of another database may have the same name and revision."""
    lookup: str | None = None
    """The features that the inference server looks up, as `name@version`; snapshots of earlier releases lack it."""
    graph: dict[str, Any] | None = None
    """The graph of its state, where it is one; its members have snapshots of their own."""


_FIND = (
    sa.select(deployments.c.revision, deployments.c.state.isnot(None).label("is_there"), _snapshots.c.needs)
    .select_from(
        deployments.outerjoin(
            _snapshots,
            sa.and_(
                _snapshots.c.tenant_id == deployments.c.tenant_id,
                _snapshots.c.deployment == deployments.c.name,
                _snapshots.c.revision == deployments.c.revision,
            ),
        )
    )
    .where(deployments.c.tenant_id == sa.bindparam("tenant"), deployments.c.name == sa.bindparam("deployment_name"))
)


def take(engines: database.Engines, *, tenant_id: str, name: str) -> Needs | None:
    """Take a snapshot of a deployment as it is now, unless there is one already; None when there is no deployment."""
    row = engines.reader.one(_FIND, {"tenant": tenant_id, "deployment_name": name})
    if row is None or not row.is_there:
        return None
    if row.needs is not None:
        return Needs(int(row.revision), **row.needs)
    with engines.transactions.begin() as connection:
        return _write(connection, tenant_id=tenant_id, name=name)


def read(connection: sa.Connection, *, tenant_id: str, name: str, revision: int) -> Snapshot | None:
    """Read a snapshot; None when there is none."""
    row = connection.execute(
        sa.select(_snapshots.c.state, _snapshots.c.pins).where(
            _snapshots.c.tenant_id == tenant_id,
            _snapshots.c.deployment == name,
            _snapshots.c.revision == revision,
        )
    ).one_or_none()
    return None if row is None else Snapshot(name, revision, row.state, row.pins)


def _write(connection: sa.Connection, *, tenant_id: str, name: str) -> Needs | None:
    head = connection.execute(
        sa.select(deployments).where(deployments.c.tenant_id == tenant_id, deployments.c.name == name).with_for_update()
    ).one_or_none()
    if head is None or head.state is None:
        return None
    pins = changes.read_pins(connection, tenant_id=tenant_id, name=name)
    routes = [pins[route["model"]] for route in head.state["routes"]]
    columns = [column["name"] for pin in routes for column in pin["signature"]["columns"]]
    needs = {
        "models": {
            f"{pin['name']}@{pin['version']}": {"key": pin["key"], "sha256": pin["sha256"]} for pin in pins.values()
        },
        "columns": list(dict.fromkeys(columns)),
        "sticky_key": head.state["sticky_key"],
        "lookup": (head.state.get("lookup") or {}).get("features"),
        "graph": head.state.get("graph"),
        "mark": fingerprints.compute({"state": head.state, "pins": pins})[:MARK_CHARACTERS],
    }
    connection.execute(
        database.insert(connection, _snapshots)
        .values(tenant_id=tenant_id, deployment=name, revision=head.revision, state=head.state, pins=pins, needs=needs)
        .on_conflict_do_nothing()
    )
    return Needs(int(head.revision), **needs)
