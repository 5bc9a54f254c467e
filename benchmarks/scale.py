"""`make bench-scale`: listing and showing cost the same with few rows in the tables as with very many.

Two systems, one with 100 of everything and one with 10,000 datasets, feature sets, model versions and evaluations and
1,000,000 jobs, on SQLite and, where it is found, on PostgreSQL. Each route is requested from an API in this process,
in both systems in turns; medians are compared.
"""

import argparse
import contextlib
import dataclasses
import pathlib
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import flask.testing
import sqlalchemy as sa

from api.intake import keys
from benchmarks import measures
from benchmarks.jobs import open_postgres
from migrations import command_line
from shared import database
from shared.catalog import datasets
from shared.evaluation.tables import evaluation_metrics, evaluations
from shared.jobs import references, tables
from shared.processing.tables import feature_versions, features
from shared.training.tables import model_metrics, model_versions, models
from tests import servers
from tests.integration import steps

GREATEST_RATIO = 2.0
SMALL = 100
TENANT = "default"
TURNS, CALLS = 3, 25
_LISTS = {"columns", "profile", "notes", "warnings", "slices"}

# Each number becomes an id of the right length and order. Each system has a hundred jobs of the rare kind and tag.
JOBS = """
INSERT INTO jobs (id, tenant_id, kind, state, version, priority, place, params, pinned, tags, attempt, tries_left, lost,
    cancel_requested, run_after, ring_after, submitted_by, created_at, finished_at)
SELECT 'training_' || {text}, 'default', CASE WHEN n % {rarity} = 0 THEN 'training.search' ELSE 'training.fit' END,
    CASE WHEN n % {rarity} = 0 THEN 'queued' ELSE 'succeeded' END, 1, 0, '9_' || {text}, '{{}}', '{{}}', '[]', 1, 3, 0,
    0, 0, 9999999999999, 'bench', n, n
FROM {numbers}
"""
TAGS = """
INSERT INTO job_tags (tenant_id, tag, job_id)
SELECT 'default', 'often', 'training_' || {text} FROM {numbers}
UNION ALL SELECT 'default', 'rare', 'training_' || {text} FROM {numbers} WHERE n % {rarity} = 0
UNION ALL SELECT 'default', {mark}, 'training_' || {text} FROM {numbers} WHERE n % {rarity} = 0
"""
DIALECTS = {
    "sqlite": {
        "text": "substr('00000000000000000000000000' || n, -26)",
        "modulo": "%",
        "numbers": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows}) SELECT n FROM s)",
    },
    # psycopg reads a single percent sign as the start of a parameter.
    "postgresql": {"text": "lpad(n::text, 26, '0')", "modulo": "%%", "numbers": "generate_series(1, {rows}) AS n"},
}
ROUTES = {
    "newest jobs": "/v1/jobs?limit=20",
    "jobs of a role": "/v1/jobs?role=training&limit=20",
    "jobs of a rare kind": "/v1/jobs?kind=training.search&limit=20",
    "jobs in a rare state": "/v1/jobs?state=queued&limit=20",
    "jobs with a rare tag": "/v1/jobs?tag=rare&limit=20",
    "jobs with a usual tag": "/v1/jobs?tag=often&limit=20",
    "jobs of a model": "/v1/jobs?model=rare&limit=20",
    "a job": f"/v1/jobs/training_{50:026d}",
    "datasets": "/v1/datasets?limit=20",
    "a dataset's versions": "/v1/datasets/many?limit=20",
    "a dataset's version": "/v1/datasets/many/versions/50",
    "feature sets": "/v1/features?limit=20",
    "a feature set's versions": "/v1/features/many?limit=20",
    "a feature set's version": "/v1/features/many/versions/50",
    "models": "/v1/models?limit=20",
    "a model's versions": "/v1/models/many?limit=20",
    "a model's version": "/v1/models/many/versions/50",
    "a model's aliases": "/v1/models/many/aliases",
    "two versions compared": "/v1/models/many/compare?versions=7,50",
    "a version's lineage": "/v1/models/many/versions/50/lineage",
    "evaluations": "/v1/evaluations?limit=20",
    "evaluations of a model": "/v1/evaluations?model=rare&limit=20",
    "evaluations by a metric": "/v1/evaluations?sort=-roc_auc&limit=20",
    "the best of a dataset": "/v1/evaluations?dataset=rare&sort=-roc_auc&limit=20",
    "versions of all models": "/v1/model-versions?limit=20",
    "versions by a metric": "/v1/model-versions?sort=-roc_auc&limit=20",
    "a model's best versions": "/v1/models/many?sort=-roc_auc&metric=roc_auc>=0.5&limit=20",
    "an evaluation": f"/v1/evaluations/evaluation_{50:026d}",
    "services": "/v1/services",
}


@dataclasses.dataclass(frozen=True)
class Size:
    """How many rows a system has."""

    versions: int
    jobs: int


class FilledSystem:
    """A system with a given number of rows, and the times of its routes."""

    def __init__(self, home: pathlib.Path, *, size: Size, **variables: str) -> None:
        """Create its databases with the migrations, a key, and the rows."""
        self._home = home
        self._variables = variables
        self.seconds: dict[str, list[float]] = {name: [] for name in ROUTES}
        home.mkdir()
        with steps.at_home(home, **variables):
            with contextlib.redirect_stdout(sys.stderr):
                command_line.main(["upgrade", "all"])
            self._key = keys.Keys(database.of_process()).create("bench", scopes=["admin"])
            self._fill(size)

    def _fill(self, size: Size) -> None:
        for role, heads, versions in (
            ("ingestion", datasets.HEADS, datasets.VERSIONS),
            ("processing", features, feature_versions),
            ("training", models, model_versions),
        ):
            with _without_timeout(role) as connection:
                _fill_versions(connection, heads, versions, count=size.versions)
        with _without_timeout("evaluation") as connection:
            rows = [
                {"id": f"evaluation_{number:026d}", **dict.fromkeys(("model_name", "dataset_name"), name)}
                for number in range(1, size.versions + 1)
                for name in ("often" if number % (size.versions // SMALL) else "rare",)
            ]
            connection.execute(sa.insert(evaluations), [_build_row(evaluations, **row) for row in rows])
            _fill_metrics(connection, evaluation_metrics, rows)
        with _without_timeout("training") as connection:
            parts = DIALECTS[connection.dialect.name]
            numbers = parts["numbers"].format(rows=size.jobs)
            for fill in (JOBS, TAGS):
                statement = fill.format(
                    text=parts["text"],
                    numbers=numbers,
                    rarity=size.jobs // SMALL,
                    mark=f"'{references.tag_of(references.MODEL, 'rare')}'",
                )
                connection.exec_driver_sql(statement.replace("%", parts["modulo"]))
        for role in ("ingestion", "processing", "training", "evaluation"):
            with database.of_process()[role].statements.connect() as connection:
                connection.exec_driver_sql("ANALYZE")

    def measure(self) -> None:
        """Request every route several times, and note the seconds."""
        with steps.at_home(self._home, **self._variables), steps.opened() as app:
            client = steps.client_of(app, self._key)
            for name, path in ROUTES.items():
                self.seconds[name] += [_time_request(client, path) for _ in range(CALLS)][3:]


def _time_request(client: flask.testing.FlaskClient, path: str) -> float:
    begin = time.perf_counter()
    response = client.get(path)
    seconds = time.perf_counter() - begin
    if response.status_code != 200:
        raise RuntimeError(f"{path} answered with {response.status_code}: {response.text[:500]}")
    return seconds


@contextlib.contextmanager
def _without_timeout(role: str) -> Iterator[sa.Connection]:
    """Open a transaction whose statements may take longer than the configured timeout, on the server and here."""
    with database.of_process()[role].transactions.begin() as connection:
        if connection.dialect.name != "postgresql":
            yield connection
            return
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        held: Any = connection.connection.dbapi_connection
        limit, held.limit_seconds = held.limit_seconds, None
        yield connection
        held.limit_seconds = limit


def _fill_versions(connection: sa.Connection, heads: sa.Table, versions: sa.Table, *, count: int) -> None:
    """Insert `count` names with one version each, and one name with `count` versions."""
    names = [f"n{number:05d}" for number in range(count)]
    connection.execute(
        sa.insert(heads),
        [_build_row(heads, name=name, last_version=1) for name in names]
        + [_build_row(heads, name="many", last_version=count)],
    )
    labels = [(name, 1) for name in names] + [("many", number) for number in range(1, count + 1)]
    rows = [{"name": name, "version": number} for name, number in labels]
    connection.execute(sa.insert(versions), [_build_row(versions, **row) for row in rows])
    if versions is model_versions:
        _fill_metrics(connection, model_metrics, [{**row, "dataset_name": "d"} for row in rows])


def _fill_metrics(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Insert a value for each row, of which many are equal."""
    values = [
        {**row, "tenant_id": TENANT, "metric": "roc_auc", "value": index % 97 / 97} for index, row in enumerate(rows)
    ]
    connection.execute(sa.insert(table), values)


def _build_row(table: sa.Table, **values: Any) -> dict[str, Any]:
    """Build a row with a plain value in every other column that must have one."""
    plain: dict[type, Any] = {str: "x", int: 1}
    row: dict[str, Any] = {"tenant_id": TENANT}
    for column in table.columns:
        if column.nullable or column.server_default is not None or column.name in row:
            continue
        if isinstance(column.type, sa.JSON | type(tables.JSON)):
            row[column.name] = [] if column.name in _LISTS else {}
        else:
            row[column.name] = plain[column.type.python_type]
    return row | values


def compare(name: str, stack: contextlib.ExitStack, *, large: Size, **variables: str) -> bool:
    """Measure a small and a large system in turns, and print each route; return whether all are within the ratio."""
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-scale-")))
    systems = [
        FilledSystem(
            folder / which, size=size, **{key: value.replace("SIZE", which) for key, value in variables.items()}
        )
        for which, size in (("small", Size(SMALL, SMALL)), ("large", large))
    ]
    for turn in range(TURNS):
        for system in systems if turn % 2 else systems[::-1]:
            system.measure()
    is_within = True
    for route in ROUTES:
        small, big = (1000 * measures.percentile(system.seconds[route], 0.5) for system in systems)
        ratio = big / small
        is_within &= ratio <= GREATEST_RATIO
        print(f"{name:<12} {route:<26} {small:9.2f} {big:9.2f} {ratio:7.2f}{'' if ratio <= GREATEST_RATIO else '  !'}")
    return is_within


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 when a route of the large system takes more than twice as long."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--versions", type=int, default=10_000, help="how many datasets, models … (default 10,000)")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    arguments = parser.parse_args(argv)
    large = Size(arguments.versions, arguments.jobs)
    print(f"{'':<12} {'p50, ms':<26} {'100 rows':>9} {'many':>9} {'ratio':>7}")
    with contextlib.ExitStack() as stack:
        is_within = compare("SQLite", stack, large=large)
        try:
            postgres = open_postgres(stack)
        except servers.ServerNotFoundError as error:
            print(error)
            return int(not is_within)
        prefix = f"bench_{secrets.token_hex(4)}_"
        stack.callback(lambda: postgres.drop_databases(prefix))
        url = postgres.url(f"{prefix}SIZE_{{role}}")
        is_within &= compare(f"PostgreSQL {postgres.version.split('.')[0]}", stack, large=large, DATABASE_URL=url)
    print(f"every route within {GREATEST_RATIO:g} times: {'yes' if is_within else 'NO'}")
    return int(not is_within)


if __name__ == "__main__":
    sys.exit(main())
