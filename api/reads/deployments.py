"""Deployments and the ledger of their changes."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from api.reads import cursors
from shared import clock, contract, database, errors
from shared.prediction import changes, graphs
from shared.prediction.lookups import Lookup
from shared.prediction.tables import canary_checks, deployment_changes, deployments

_ROLE = "prediction"
_SHOWN_CHECKS = 20


def page(databases: database.Databases, tenant_id: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of deployments in alphabetical order."""
    after = cursors.unpack(cursor, pattern=contract.NAME_PATTERN.strip("^$"))
    query = sa.select(deployments).where(deployments.c.tenant_id == tenant_id, deployments.c.state.isnot(None))
    if after is not None:
        query = query.where(deployments.c.name > after)
    rows = _read(databases, query.order_by(deployments.c.name).limit(limit + 1))
    return {
        "deployments": [_describe(row) for row in rows[:limit]],
        "next_cursor": cursors.pack(rows[limit - 1].name) if len(rows) > limit else None,
    }


def show(databases: database.Databases, tenant_id: str, name: str) -> dict[str, Any]:
    """Read a deployment; raises NotFoundError."""
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        row = changes.find(connection, tenant_id=tenant_id, name=name)
    if row is None:
        raise errors.NotFoundError(f"There is no deployment {name!r} here.")
    document = _describe(row)
    if document["canary"] is not None:
        document["canary"]["checks"] = _read_checks(databases, row)
    return document


def history(
    databases: database.Databases, tenant_id: str, name: str, *, limit: int, cursor: str | None, verify: bool
) -> dict[str, Any]:
    """Read a page of a deployment's changes, newest first, and check the whole chain; raises NotFoundError."""
    before = cursors.unpack(cursor, pattern=r"\d{1,9}")
    table = deployment_changes
    query = sa.select(table).where(table.c.tenant_id == tenant_id, table.c.deployment == name)
    if before is not None:
        query = query.where(table.c.revision < int(before))
    rows = _read(databases, query.order_by(table.c.revision.desc()).limit(limit + 1))
    if not rows and before is None:
        raise errors.NotFoundError(f"There has never been a deployment {name!r} here.")
    shown = rows[:limit]
    return {
        "name": name,
        "changes": [_describe_change(row) for row in shown],
        "next_cursor": cursors.pack(str(shown[-1].revision)) if len(rows) > limit else None,
        "verified": _verify(databases, tenant_id, name) if verify else None,
    }


def _verify(databases: database.Databases, tenant_id: str, name: str) -> dict[str, Any]:
    with database.available(_ROLE), databases[_ROLE].transactions.connect() as connection:
        found = changes.find_break(connection, tenant_id=tenant_id, name=name)
    if found is None:
        return {"whole": True, "broken_at": None, "problem": None}
    return {"whole": False, "broken_at": found.revision, "problem": found.problem}


def _read(databases: database.Databases, query: sa.Select[Any]) -> list[sa.Row[Any]]:
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        return list(connection.execute(query).all())


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "name": row.name,
        "revision": row.revision,
        **_describe_state(row.state),
        "created_at": clock.to_text(row.created_at),
        "updated_at": clock.to_text(row.updated_at),
    }


def _describe_change(row: sa.Row[Any]) -> dict[str, Any]:
    fields = ("revision", "action", "reason", "changed_by", "previous_sha256", "sha256")
    return {
        **{name: getattr(row, name) for name in fields},
        "changed_at": clock.to_text(row.changed_at),
        "state": None if row.state is None else _describe_state(row.state),
    }


def _describe_state(state: Mapping[str, Any]) -> dict[str, Any]:
    total = sum(route["weight"] for route in state["routes"])
    routes = [
        {
            "model": route["model"],
            "version": route["version"],
            "sha256": route["sha256"],
            "weight": route["weight"],
            "share": route["weight"] / total,
        }
        for route in state["routes"]
    ]
    canary = state.get("canary")
    experiment = state.get("experiment")
    lookup = state.get("lookup")
    return {
        **{name: value for name, value in state.items() if name != "graph"},
        **_describe_graph(state),
        "routes": routes,
        "shadow": state.get("shadow", []),
        "log": state.get("log"),
        "errors": state.get("errors", "detailed"),
        "canary": canary and _describe_canary(canary),
        "experiment": experiment and {**experiment, "started_at": clock.to_text(experiment["started_at"])},
        "lookup": lookup and {name: lookup[name] for name in Lookup.model_fields},
    }


def _describe_graph(state: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a graph as a client names it: the member of its kind, and null for the others."""
    graph = graphs.read_state(state)
    kind = None if graph is None else state["graph"]["kind"]
    return {
        each: graph.model_dump(mode="json") if graph is not None and each == kind else None for each in graphs.KINDS
    }


def _describe_canary(canary: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("model", "status", "reason", "step", "steps", "gate", "job", "id")
    return {**{name: canary[name] for name in shown}, "since": clock.to_text(canary["since"]), "checks": []}


def _read_checks(databases: database.Databases, row: sa.Row[Any]) -> list[dict[str, Any]]:
    table = canary_checks
    query = sa.select(table).where(
        table.c.tenant_id == row.tenant_id,
        table.c.deployment == row.name,
        table.c.canary == row.state["canary"]["id"],
    )
    return [
        {
            "number": check.number,
            "step": check.step,
            "checked_at": clock.to_text(check.checked_at),
            "verdict": check.verdict,
            "metrics": check.metrics,
        }
        for check in _read(databases, query.order_by(table.c.number.desc()).limit(_SHOWN_CHECKS))
    ]
