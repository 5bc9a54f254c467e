"""What the canary and the versions that it is to replace have shown since a step began, from the role's database."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared.prediction import changes
from shared.prediction.records import latencies
from shared.prediction.shadows import stored
from shared.prediction.tables import feedback, served_counts
from workers.prediction.canaries.comparisons import Sums

NOTHING = Sums(0, 0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Served:
    """How requests went."""

    requests: int
    errors: int
    histogram: latencies.Histogram


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How a version as a shadow compares with what was answered."""

    rows: int
    disagreeing: int
    """Those with another label, and those that it couldn't predict."""


@dataclasses.dataclass(frozen=True)
class Window:
    """Which predictions count: those of a deployment from a moment on, in epoch milliseconds."""

    tenant_id: str
    deployment: str
    since: int


def sum_feedback(connection: sa.Connection, window: Window, arms: Sequence[str], *, name: str) -> Sums:
    """Sum over units the mean of what feedback says of each, so that no unit counts more than another."""
    table = feedback
    figure: sa.ColumnElement[Any] = {
        "accuracy": sa.cast(table.c.correct, sa.Double),
        "absolute_error": sa.func.abs(table.c.error),
        "squared_error": table.c.error * table.c.error,
        "value": table.c.value,
    }[name]
    units = (
        sa.select(sa.func.avg(figure).label("mean"))
        .where(
            table.c.tenant_id == window.tenant_id,
            table.c.deployment == window.deployment,
            table.c.arm.in_(arms),
            table.c.predicted_at >= window.since,
            figure.isnot(None),
        )
        .group_by(table.c.unit)
        .subquery()
    )
    mean = units.c.mean
    row = connection.execute(sa.select(sa.func.count(), sa.func.sum(mean), sa.func.sum(mean * mean)).select_from(units))
    count, total, squares = row.one()
    return Sums(int(count), float(total), float(squares)) if count else NOTHING


def sum_served(connection: sa.Connection, window: Window, arms: Sequence[str]) -> Served:
    """Sum what arms did in the intervals that began since."""
    table = served_counts
    rows = connection.execute(
        sa.select(table.c.requests, table.c.errors, table.c.histogram).where(
            table.c.tenant_id == window.tenant_id,
            table.c.deployment == window.deployment,
            table.c.arm.in_(arms),
            table.c.started_at >= window.since,
        )
    ).all()
    histogram: latencies.Histogram = {}
    for row in rows:
        histogram = latencies.merge(histogram, latencies.from_document(row.histogram))
    return Served(sum(row.requests for row in rows), sum(row.errors for row in rows), histogram)


def sum_agreement(connection: sa.Connection, window: Window, label: str) -> Agreement:
    """Sum how a version, as `name@version`, agreed with what others answered, since it became a shadow.

    Its share of the traffic changes nothing about that, so it isn't only of the time since the window began.
    """
    row = changes.find(connection, tenant_id=window.tenant_id, name=window.deployment)
    shadows = [] if row is None else row.state.get("shadow", [])
    found = stored.read(
        connection,
        tenant_id=window.tenant_id,
        deployment=window.deployment,
        shadows={shadow["id"] for shadow in shadows},
    )
    sums = [each for (shadow, _), each in found.items() if shadow.label == label]
    failed = sum(sum(each.get("failed", {}).values()) for each in sums)
    compared = sum(each.get("compared", 0) for each in sums)
    agreeing = sum(each.get("agreeing", 0) for each in sums)
    return Agreement(compared + failed, compared - agreeing + failed)
