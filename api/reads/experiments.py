"""What was observed of an experiment: the sums of its arms over units, from exposures and feedback."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, database, errors
from shared.prediction import changes
from shared.prediction.experiments import lifecycle, report
from shared.prediction.experiments.document import Metric
from shared.prediction.experiments.observed import DAY_MS, Cohort, Observed
from shared.prediction.experiments.sums import Sums
from shared.prediction.tables import deployment_changes, exposures, feedback

_ROLE = "prediction"
_QUANTILES = {"p50": 50, "p90": 90, "p99": 99}
_MOST, _LEAST = 1e100, 1e-100
"""Values beyond these are left out, or are 0: PostgreSQL refuses to square them."""
_SUMS = ("units", "total", "squares", "denominator_total", "denominator_squares", "products")


def show(databases: database.Databases, tenant_id: str, name: str) -> dict[str, Any]:
    """Compute the report of a deployment's experiment; raises NotFoundError where there is none."""
    revision, state, observed = _observe(databases, tenant_id, name)
    return {"deployment": name, "revision": revision, **report.compose(state, observed)}


def list_sums(databases: database.Databases, tenant_id: str, name: str) -> list[dict[str, Any]]:
    """List the sums of a deployment's experiment by day, arm and metric; raises NotFoundError where there is none."""
    _, state, observed = _observe(databases, tenant_id, name)
    return report.list_sums(state, observed)


def observe(connection: sa.Connection, *, tenant_id: str, name: str, state: Mapping[str, Any]) -> Observed:
    """Read the sums of an experiment, given its state in the deployment, in one transaction.

    It takes two passes over the exposures of the deployment and two over its feedback since the experiment began.
    """
    key = (tenant_id, name)
    weights, versions = _read_ledger(connection, key, state)
    return Observed(
        cohorts=_read_cohorts(connection, key, state),
        weights=weights,
        versions=versions,
        units_in_two_arms=_count_in_two_arms(connection, key, state),
        delays_seconds=_read_delays(connection, key, state),
        at_ms=clock.read(connection),
    )


def _observe(databases: database.Databases, tenant_id: str, name: str) -> tuple[int, Mapping[str, Any], Observed]:
    with database.available(_ROLE), databases[_ROLE].transactions.connect() as connection:
        row = changes.find(connection, tenant_id=tenant_id, name=name)
        if row is None:
            raise errors.NotFoundError(f"There is no deployment {name!r} here.")
        state = row.state.get("experiment")
        if state is None:
            raise errors.NotFoundError(f"The deployment {name!r} has no `experiment`; put one to begin it.")
        return row.revision, state, observe(connection, tenant_id=tenant_id, name=name, state=state)


def _read_ledger(
    connection: sa.Connection, key: tuple[str, str], state: Mapping[str, Any]
) -> tuple[dict[int, dict[str, float]], dict[str, list[int]]]:
    """Read the weights of the arms at each revision since the experiment began, and the versions they stood for."""
    table = deployment_changes
    query = sa.select(table.c.revision, table.c.state).where(
        *_is(table, key), table.c.revision >= state["id"], table.c.state.isnot(None)
    )
    weights: dict[int, dict[str, float]] = {}
    versions: dict[str, set[int]] = {arm: set() for arm in state["arms"]}
    for row in connection.execute(query):
        routes = [route for route in row.state["routes"] if route["model"] in versions]
        weights[row.revision] = {route["model"]: route["weight"] for route in routes}
        for route in routes:
            versions[route["model"]].add(route["version"])
    return weights, {arm: sorted(numbers) for arm, numbers in versions.items()}


def _read_cohorts(connection: sa.Connection, key: tuple[str, str], state: Mapping[str, Any]) -> list[Cohort]:
    units = _units(key, state)
    metrics = lifecycle.read_document(state).metrics
    columns = [column for index, metric in enumerate(metrics) for column in _sum_metric(metric, units, index)]
    cohort = (units.c.day, units.c.arm, units.c.revision)
    query = (
        sa.select(
            *cohort,
            sa.func.count().label("units"),
            sa.func.sum(units.c.has_feedback).label("units_with_feedback"),
            *columns,
        )
        .where(units.c.arm.isnot(None))
        .group_by(*cohort)
        .order_by(*cohort)
    )
    return [
        Cohort(
            day=row["day"],
            arm=row["arm"],
            revision=row["revision"],
            units=row["units"],
            units_with_feedback=int(row["units_with_feedback"]),
            sums=[_read_sums(row, index, metric) for index, metric in enumerate(metrics)],
        )
        for row in connection.execute(query).mappings()
    ]


def _units(key: tuple[str, str], state: Mapping[str, Any]) -> sa.Subquery:
    """Build SQL for each unit's first exposure and what feedback says of it; one that was not exposed has no `arm`.

    The two are put one below the other and grouped, since SQLite would join them by comparing all with all.
    """
    first, told = _first_exposures(key, state), _feedback_by_unit(key, state)
    figures = [column for column in told.c if column.name != "unit"]
    rows = sa.union_all(
        sa.select(
            first.c.unit,
            first.c.arm,
            first.c.revision,
            first.c.day,
            sa.literal(0, sa.Integer).label("has_feedback"),
            *(sa.cast(sa.null(), sa.Double).label(figure.name) for figure in figures),
        ).where(first.c.rank == 1),
        sa.select(
            told.c.unit,
            sa.cast(sa.null(), sa.String).label("arm"),
            sa.cast(sa.null(), sa.Integer).label("revision"),
            sa.cast(sa.null(), sa.BigInteger).label("day"),
            sa.literal(1, sa.Integer).label("has_feedback"),
            *figures,
        ),
    ).subquery("rows")
    merged = (sa.func.max(column).label(column.name) for column in rows.c if column.name != "unit")
    return sa.select(rows.c.unit, *merged).group_by(rows.c.unit).subquery("units")


def _first_exposures(key: tuple[str, str], state: Mapping[str, Any]) -> sa.Subquery:
    """Build SQL for the arm that each unit met first, which has the rank 1, and in how many arms it was."""
    table = exposures
    order = (table.c.first_seen_at, table.c.arm)
    return (
        sa.select(
            table.c.unit,
            table.c.arm,
            table.c.revision,
            (table.c.first_seen_at // sa.literal(DAY_MS, sa.BigInteger)).label("day"),
            sa.func.row_number().over(partition_by=table.c.unit, order_by=order).label("rank"),
            sa.func.count().over(partition_by=table.c.unit).label("arms"),
        )
        .where(*_is_of_experiment(table, key, state))
        .subquery("first")
    )


def _feedback_by_unit(key: tuple[str, str], state: Mapping[str, Any]) -> sa.Subquery:
    """Build SQL for each unit's sums of what feedback says, and of how often it says it."""
    table = feedback
    error, value = _limit(table.c.error), _limit(table.c.value)
    figures = {
        "accuracy": table.c.correct,
        "absolute_error": sa.func.abs(error),
        "squared_error": error * error,
        "value": value,
    }
    return (
        sa.select(
            table.c.unit,
            *(_as_number(sa.func.sum(figure)).label(name) for name, figure in figures.items()),
            *(_as_number(sa.func.count(figure)).label(f"{name}_count") for name, figure in figures.items()),
        )
        .where(*_is_of_experiment(table, key, state))
        .group_by(table.c.unit)
        .subquery("told")
    )


def _sum_metric(metric: Metric, units: sa.Subquery, index: int) -> list[sa.ColumnElement[Any]]:
    """Build SQL for the sums of one metric, as `shared.prediction.experiments.sums.Sums` has them."""
    y = sa.func.coalesce(units.c[metric.name], 0.0)
    x = sa.func.coalesce(units.c[f"{metric.name}_count"], 0.0)
    counted: sa.ColumnElement[Any] = (
        sa.func.count() if metric.without_feedback == "zero" else sa.func.sum(sa.case((x > 0, 1), else_=0))
    )
    parts = {"units": counted, "total": sa.func.sum(y), "squares": sa.func.sum(y * y)}
    if metric.per == "prediction":
        parts |= {
            "denominator_total": sa.func.sum(x),
            "denominator_squares": sa.func.sum(x * x),
            "products": sa.func.sum(x * y),
        }
    return [part.label(f"{name}_{index}") for name, part in parts.items()]


def _read_sums(row: sa.RowMapping, index: int, metric: Metric) -> Sums:
    names = _SUMS[1:] if metric.per == "prediction" else _SUMS[1:3]
    return Sums(units=int(row[f"units_{index}"]), **{name: float(row[f"{name}_{index}"]) for name in names})


def _count_in_two_arms(connection: sa.Connection, key: tuple[str, str], state: Mapping[str, Any]) -> int:
    first = _first_exposures(key, state)
    query = sa.select(sa.func.count()).select_from(first).where(first.c.rank == 1, first.c.arms > 1)
    return connection.execute(query).scalar_one()


def _read_delays(
    connection: sa.Connection, key: tuple[str, str], state: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """Read quantiles of the time from a prediction to its feedback, by arm, in seconds."""
    table = feedback
    delay = table.c.received_at - table.c.predicted_at
    ranked = (
        sa.select(
            table.c.arm,
            delay.label("delay"),
            sa.func.row_number().over(partition_by=table.c.arm, order_by=delay).label("rank"),
            sa.func.count().over(partition_by=table.c.arm).label("all"),
        )
        .where(*_is_of_experiment(table, key, state))
        .subquery("ranked")
    )
    ranks = {name: (ranked.c.all * percent + 99) // 100 for name, percent in _QUANTILES.items()}
    found: dict[str, dict[str, float]] = {}
    for row in connection.execute(sa.select(ranked).where(ranked.c.rank.in_(ranks.values()))):
        for name, percent in _QUANTILES.items():
            if row.rank == (row.all * percent + 99) // 100:
                # The clocks of a copy and of the database may differ.
                found.setdefault(row.arm, {})[name] = max(0.0, row.delay / 1000)
    return found


def _is(table: sa.Table, key: tuple[str, str]) -> Sequence[sa.ColumnElement[bool]]:
    return table.c.tenant_id == key[0], table.c.deployment == key[1]


def _is_of_experiment(
    table: sa.Table, key: tuple[str, str], state: Mapping[str, Any]
) -> Sequence[sa.ColumnElement[bool]]:
    return *_is(table, key), table.c.arm.in_(state["arms"]), table.c.revision >= state["id"]


def _limit(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    size = sa.func.abs(column)
    return sa.case((size > _MOST, sa.null()), (size < _LEAST, 0.0), else_=column)


def _as_number(part: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(part, sa.Double)
