"""The ledger of deployments: every change is appended, with who made it and why, and with the hash of the one before.

What a deployment is now is what its latest change made of it. docs/decisions/serving.md, "A deployment's changes are
an append-only chain of hashes".
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa

from shared import clock, database, errors, fingerprints
from shared.jobs import outbox
from shared.prediction.tables import deployment_changes, deployment_lookups, deployment_versions, deployments

_Change = Literal["put", "rollback", "alias_moved", "delete"]
_ByHand = Literal["approve", "pause", "resume", "abort"]
_ByGate = Literal["canary_advanced", "canary_promoted", "canary_paused", "canary_rolled_back"]
Action = _Change | _ByHand | _ByGate
State = dict[str, Any]
"""What a deployment is: `routes` (each with `model`, `version`, `sha256`, `weight` and `ranges`), `fallback`,
`sticky_key`, its limits, `lookup` where it has one (as `shared.prediction.lookups.State`), `canary` once it has had
one, which `shared.prediction.canaries.moves` describes, and `shadow` while it has some (each with `model`, `version`,
`sha256`, `percent`, `segments` and `id`, the revision with which it began), `log` and `errors` as
`shared.prediction.deployments` has them, where there is a log and where errors are plain."""
Pins = Mapping[str, Mapping[str, Any]]
"""The pin of each model that a state names, by its reference."""
_HASHED = (
    *("tenant_id", "deployment", "revision", "action", "reason", "changed_by", "changed_at", "state"),
    "previous_sha256",
)
"""The columns that a change's hash is of."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Author:
    """Who changes a deployment, how, and why."""

    action: Action
    changed_by: str
    reason: str | None = None


@dataclasses.dataclass(frozen=True)
class Break:
    """Where a chain of changes breaks: the revision, and what is wrong there."""

    revision: int
    problem: str


def lock(connection: sa.Connection, *, tenant_id: str, name: str) -> sa.Row[Any]:
    """Read a deployment's row, locked until the transaction ends; a new one has the revision 0 and no state."""
    now = clock.now_ms()
    connection.execute(
        database.insert(connection, deployments)
        .values(tenant_id=tenant_id, name=name, revision=0, created_at=now, updated_at=now)
        .on_conflict_do_nothing()
    )
    return connection.execute(
        sa.select(deployments).where(*_is(deployments, tenant_id, name=name)).with_for_update()
    ).one()


def lock_existing(
    connection: sa.Connection, *, tenant_id: str, name: str, expected_revision: int | None
) -> sa.Row[Any]:
    """Read and lock a deployment's row as `lock` does; NotFoundError when there is none.

    PreconditionFailedError when it has changed since its client read `expected_revision`.
    """
    head = lock(connection, tenant_id=tenant_id, name=name)
    if head.state is None:
        raise errors.NotFoundError(f"There is no deployment {name!r} here.")
    require_revision(head, expected_revision)
    return head


def append(connection: sa.Connection, head: sa.Row[Any], state: State | None, *, pins: Pins, author: Author) -> int:
    """Append a change to a locked deployment and make it take effect; None deletes it. Returns its revision."""
    tenant_id, name, revision = head.tenant_id, head.name, int(head.revision) + 1
    previous = connection.execute(
        sa.select(deployment_changes.c.sha256).where(
            *_is(deployment_changes, tenant_id, deployment=name), deployment_changes.c.revision == head.revision
        )
    ).scalar()
    change = {
        "tenant_id": tenant_id,
        "deployment": name,
        "revision": revision,
        "action": author.action,
        "reason": author.reason,
        "changed_by": author.changed_by,
        "changed_at": clock.read(connection),
        "state": state,
        "previous_sha256": previous,
    }
    connection.execute(sa.insert(deployment_changes).values(**change, sha256=fingerprints.compute(change)))
    connection.execute(
        sa.update(deployments)
        .where(*_is(deployments, tenant_id, name=name))
        .values(revision=revision, state=state, updated_at=change["changed_at"])
    )
    _replace_versions(connection, tenant_id, name, pins)
    _replace_lookup(connection, tenant_id, name, (state or {}).get("lookup"))
    data = {"name": name, "revision": revision, "action": author.action}
    outbox.put(connection, [outbox.Event("deployment.changed", f"{name}@{revision}", tenant_id, data)])
    return revision


def find(connection: sa.Connection, *, tenant_id: str, name: str) -> sa.Row[Any] | None:
    """Read a deployment's row; None when there is none, or it was deleted."""
    return connection.execute(
        sa.select(deployments).where(*_is(deployments, tenant_id, name=name), deployments.c.state.isnot(None))
    ).one_or_none()


def read_pins(connection: sa.Connection, *, tenant_id: str, name: str) -> dict[str, dict[str, Any]]:
    """Read the pins of the versions that a deployment needs, by their references."""
    table = deployment_versions
    rows = connection.execute(sa.select(table.c.reference, table.c.pin).where(*_is(table, tenant_id, deployment=name)))
    return {row.reference: row.pin for row in rows}


def keep_needed(pins: Pins, state: State) -> dict[str, Mapping[str, Any]]:
    """Keep those pins whose references a state still names."""
    named = [*state["routes"], *([state["fallback"]] if state["fallback"] else []), *state.get("shadow", [])]
    return {place["model"]: pins[place["model"]] for place in named}


def list_users(connection: sa.Connection, *, tenant_id: str, model: str, version: int) -> list[str]:
    """List the deployments that need a version of a model."""
    table = deployment_versions
    query = (
        sa.select(table.c.deployment)
        .where(table.c.tenant_id == tenant_id, table.c.model == model, table.c.version == version)
        .distinct()
    )
    return sorted(connection.execute(query).scalars())


def list_lookups(connection: sa.Connection, *, tenant_id: str, features: str, version: int) -> list[str]:
    """List the deployments that look rows up in a version of a feature set."""
    table = deployment_lookups
    query = sa.select(table.c.deployment).where(
        table.c.tenant_id == tenant_id, table.c.features == features, table.c.version == version
    )
    return sorted(connection.execute(query).scalars())


def read(connection: sa.Connection, *, tenant_id: str, name: str, revision: int) -> sa.Row[Any] | None:
    """Read one change of a deployment; None when there is no such revision."""
    return connection.execute(
        sa.select(deployment_changes).where(
            *_is(deployment_changes, tenant_id, deployment=name), deployment_changes.c.revision == revision
        )
    ).one_or_none()


def find_break(connection: sa.Connection, *, tenant_id: str, name: str) -> Break | None:
    """Find where a deployment's chain of changes first breaks; None when it is whole.

    It is whole when the revisions count up from 1, each change has the hash of its content and that of the one before,
    and the deployment is as the last one left it. Who could change rows and compute all later hashes anew is found only
    by somebody who has kept a later hash.
    """
    # First, so that changes which are made meanwhile are left for the next time.
    head = connection.execute(sa.select(deployments).where(*_is(deployments, tenant_id, name=name))).one_or_none()
    query = sa.select(deployment_changes).where(*_is(deployment_changes, tenant_id, deployment=name))
    if head is not None:
        query = query.where(deployment_changes.c.revision <= head.revision)
    rows = connection.execution_options(yield_per=500).execute(query.order_by(deployment_changes.c.revision))
    revision, previous, state = 0, None, None
    for row in rows:
        revision += 1
        if row.revision != revision:
            return Break(revision, f"the change is missing; the next one there is has the revision {row.revision}")
        if row.sha256 != fingerprints.compute({name: getattr(row, name) for name in _HASHED}):
            return Break(revision, "the change is not what it was when its hash was computed")
        if row.previous_sha256 != previous:
            return Break(revision, "the change doesn't follow the one before it, which has another hash")
        previous, state = row.sha256, row.state
    if head is not None and head.revision != revision:
        return Break(revision + 1, f"the change is missing; the deployment is at the revision {head.revision}")
    if head is not None and head.state != state:
        return Break(revision, "the deployment is not what this change, the last one, made of it")
    return None


def require_revision(head: sa.Row[Any], expected: int | None) -> None:
    """Raise PreconditionFailedError when a deployment has changed since its client read it."""
    if expected is not None and head.revision != expected:
        raise errors.PreconditionFailedError(
            f"The deployment {head.name!r} is at the revision {head.revision}, not {expected}; read it again."
        )


def _replace_versions(connection: sa.Connection, tenant_id: str, name: str, pins: Pins) -> None:
    connection.execute(sa.delete(deployment_versions).where(*_is(deployment_versions, tenant_id, deployment=name)))
    rows = [
        {
            "tenant_id": tenant_id,
            "deployment": name,
            "reference": reference,
            "model": pin["name"],
            "version": pin["version"],
            "pin": pin,
        }
        for reference, pin in pins.items()
    ]
    if rows:
        connection.execute(sa.insert(deployment_versions), rows)


def _replace_lookup(connection: sa.Connection, tenant_id: str, name: str, lookup: Mapping[str, Any] | None) -> None:
    connection.execute(sa.delete(deployment_lookups).where(*_is(deployment_lookups, tenant_id, deployment=name)))
    if lookup is not None:
        features, _, version = lookup["features"].partition("@")
        connection.execute(
            sa.insert(deployment_lookups).values(
                tenant_id=tenant_id, deployment=name, features=features, version=int(version), pin=lookup["pin"]
            )
        )


def _is(table: sa.Table, tenant_id: str, **values: str) -> list[sa.ColumnElement[bool]]:
    return [table.c.tenant_id == tenant_id, *(table.c[column] == value for column, value in values.items())]
