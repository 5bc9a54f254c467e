"""Starts canaries, and lets people move them: each move is a change in the deployment's ledger, with who and why."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from api.intake.orders import Client
from shared import clock, database, errors
from shared.prediction import changes
from shared.prediction.canaries import jobs, moves
from shared.prediction.canaries.document import Canary

_ROLE = "prediction"


def start(
    connection: sa.Connection,
    head: sa.Row[Any],
    state: changes.State,
    *,
    canary: Canary | None,
    place: Mapping[str, Any] | None,
    client: Client,
) -> changes.State:
    """Return a deployment's new state with its canary, given the state without; `place` describes the canary's version.

    A canary that is the same as before goes on where it is. Raises InvalidRequestError when its version is a route's.
    """
    if canary is None or place is None:
        return state
    taken = [
        route["model"]
        for route in state["routes"]
        if f"{route['model'].partition('@')[0]}@{route['version']}" == place["model"]
    ]
    if taken:
        raise errors.InvalidRequestError(
            f"The canary is {place['model']}, which is the route {taken[0]!r} already; name another version.",
            problems=[errors.Problem("this version is a route's already", "#/canary/model")],
        )
    document = canary.model_dump(mode="json", include={"steps", "gate"})
    if moves.is_same(head.state, routes=state["routes"], document=document, model=place["model"]):
        pinned = {each["model"]: each for each in (*state["routes"], place)}
        routes = [
            {**route, **{name: pinned[route["model"]][name] for name in ("version", "sha256")}}
            for route in head.state["routes"]
        ]
        return {**state, "routes": routes, "canary": head.state["canary"]}
    revision = int(head.revision) + 1
    begun = moves.begin(state, place, document, revision=revision, at_ms=clock.read(connection))
    return _with_job(connection, begun, head=head, client=client)


def approve(
    databases: database.Databases, name: str, *, client: Client, reason: str | None, expected_revision: int | None
) -> None:
    """Go on to the next step, whatever the gate says; raises NotFoundError, ConflictError, PreconditionFailedError."""

    def move(connection: sa.Connection, head: sa.Row[Any]) -> changes.State:
        return moves.advance(head.state, at_ms=clock.read(connection))

    _change(databases, name, move, "approve", client=client, reason=reason, expected_revision=expected_revision)


def pause(
    databases: database.Databases, name: str, *, client: Client, reason: str | None, expected_revision: int | None
) -> None:
    """Leave the canary at its step; raises NotFoundError, ConflictError, PreconditionFailedError."""

    def move(_connection: sa.Connection, head: sa.Row[Any]) -> changes.State:
        _require_status(head, "running", but="only one that is running can be paused")
        return moves.pause(head.state, reason=reason)

    _change(databases, name, move, "pause", client=client, reason=reason, expected_revision=expected_revision)


def resume(
    databases: database.Databases, name: str, *, client: Client, reason: str | None, expected_revision: int | None
) -> None:
    """Let a paused canary's gate check on; raises NotFoundError, ConflictError, PreconditionFailedError."""

    def move(connection: sa.Connection, head: sa.Row[Any]) -> changes.State:
        _require_status(head, "paused", but="only one that is paused can be resumed")
        return moves.resume(head.state, at_ms=clock.read(connection))

    _change(databases, name, move, "resume", client=client, reason=reason, expected_revision=expected_revision)


def abort(
    databases: database.Databases, name: str, *, client: Client, reason: str | None, expected_revision: int | None
) -> None:
    """Take the canary out at once; raises NotFoundError, ConflictError, PreconditionFailedError."""

    def move(_connection: sa.Connection, head: sa.Row[Any]) -> changes.State:
        return moves.end(head.state, status="aborted", reason=reason)

    _change(databases, name, move, "abort", client=client, reason=reason, expected_revision=expected_revision)


def _change(
    databases: database.Databases,
    name: str,
    move: Callable[[sa.Connection, sa.Row[Any]], changes.State],
    action: changes.Action,
    *,
    client: Client,
    reason: str | None,
    expected_revision: int | None,
) -> None:
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        head = changes.lock_existing(
            connection, tenant_id=client.tenant_id, name=name, expected_revision=expected_revision
        )
        if not moves.is_under_way(head.state):
            canary = head.state.get("canary")
            was = f"its canary was {canary['status'].replace('_', ' ')}" if canary else "it has none"
            raise errors.ConflictError(f"No canary of the deployment {name!r} is under way: {was}.")
        state = _with_job(connection, move(connection, head), head=head, client=client)
        pins = changes.read_pins(connection, tenant_id=client.tenant_id, name=name)
        author = changes.Author(action=action, changed_by=client.key_id, reason=reason)
        changes.append(connection, head, state, pins=changes.keep_needed(pins, state), author=author)


def _with_job(connection: sa.Connection, state: changes.State, *, head: sa.Row[Any], client: Client) -> changes.State:
    """Submit the job of a canary that runs by a gate and has none."""
    canary = state["canary"]
    if canary["status"] != "running" or canary["gate"] is None or canary["job"] is not None:
        return state
    job_id = jobs.submit(
        connection,
        tenant_id=client.tenant_id,
        deployment=head.name,
        canary=canary["id"],
        submitted_by=client.key_id,
    )
    return moves.with_job(state, job_id)


def _require_status(head: sa.Row[Any], status: str, *, but: str) -> None:
    canary = head.state["canary"]
    if canary["status"] != status:
        raise errors.ConflictError(f"The canary of the deployment {head.name!r} is {canary['status']}; {but}.")
