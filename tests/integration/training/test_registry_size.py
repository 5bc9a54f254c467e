"""With 10,000 versions the registry finds what it shows by an index, at the cost of what it shows."""

import shutil
from collections.abc import Iterator
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from shared.training import tables
from tests.integration.steps import at_home, client_of, opened, parts_of

Client = flask.testing.FlaskClient
VERSIONS = 10_000
MODEL = "/v1/models/greatness"
SHOWN = [
    "/v1/models",
    MODEL,
    f"{MODEL}?limit=500",
    f"{MODEL}?sort=-roc_auc",
    f"{MODEL}?sort=accuracy&metric=accuracy>=0",
    f"{MODEL}?tag=often",
    f"{MODEL}?tag=often&sort=-roc_auc",
    f"{MODEL}?dataset=things&metric=roc_auc>=0.5",
    "/v1/model-versions",
    "/v1/model-versions?sort=-roc_auc&dataset=things",
    "/v1/model-versions?tag=often&since=1970-01-01",
    "/v1/model-versions?dataset=things@1&until=1970-01-02",
    f"{MODEL}/versions/5000",
    f"{MODEL}/aliases",
    f"{MODEL}/aliases/alias-5000/history",
    f"{MODEL}/compare?versions=1,5000",
    f"{MODEL}/compare?versions=latest,alias-5000",
    f"{MODEL}/versions/5000/exports",
    f"{MODEL}/versions/1/lineage",
]


@pytest.fixture(scope="module")
def crowded_app(populated_template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[flask.Flask]:
    """Yield the API of a home whose model has many versions, each with an alias, and many names beside it."""
    home = tmp_path_factory.mktemp("crowded") / "home"
    shutil.copytree(populated_template, home)
    with at_home(home), opened() as app:
        engines = parts_of(app).databases["training"]
        with engines.transactions.begin() as connection:
            _crowd(connection)
        yield app


def _crowd(connection: sa.Connection) -> None:
    version = dict(connection.execute(sa.select(tables.model_versions)).mappings().one())
    model = dict(connection.execute(sa.select(tables.models)).mappings().one())
    numbers = range(2, VERSIONS + 1)
    connection.execute(sa.insert(tables.model_versions), [{**version, "version": number} for number in numbers])
    connection.execute(sa.insert(tables.models), [{**model, "name": f"m{number}"} for number in numbers])
    key = {"tenant_id": version["tenant_id"], "name": version["name"]}
    for metric in ("roc_auc", "accuracy"):
        values = [{**key, "metric": metric, "version": number, "value": number % 97 / 97} for number in numbers]
        connection.execute(sa.insert(tables.model_metrics), [{**row, "dataset_name": "things"} for row in values])
    tags = [{**key, "tag": "often", "version": number, "created_at": version["created_at"]} for number in numbers]
    connection.execute(sa.insert(tables.model_tags), tags)
    known = {name: version[name] for name in ("tenant_id", "name")}
    by = {"updated_by": "key", "updated_at": 1}
    aliases = [{**known, **by, "alias": f"alias-{number}", "version": number} for number in numbers]
    connection.execute(sa.insert(tables.model_aliases), aliases)
    changed = {**known, "changed_by": "key", "changed_at": 1}
    changes = [
        {**changed, "id": f"01JD{number:022}", "alias": f"alias-{number}", "version": number} for number in numbers
    ]
    connection.execute(sa.insert(tables.model_alias_changes), changes)
    connection.exec_driver_sql("ANALYZE")


@pytest.fixture(scope="module")
def crowded(crowded_app: flask.Flask, template: Any) -> Client:
    """An administrator's client of the crowded home."""
    return client_of(crowded_app, template[1]["admin"])


@pytest.mark.parametrize("path", SHOWN)
def test_what_is_shown_is_found_by_an_index(crowded_app: flask.Flask, crowded: Client, path: str) -> None:
    engine = parts_of(crowded_app).databases["training"].statements
    plans: list[str] = []
    sorted_steps: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [row[3] for row in cursor.fetchall()]
            plans.extend(steps)
            # The rows of given keys are put into their order; all else comes in that of an index.
            sorted_steps.extend(step for step in steps if "TEMP B-TREE" in step and "given_keys" not in statement)

    sa.event.listen(engine, "before_cursor_execute", explain)
    try:
        response = crowded.get(path)
    finally:
        sa.event.remove(engine, "before_cursor_execute", explain)
    assert response.status_code == 200, response.text
    assert plans, "the route asks the database"
    assert sorted_steps == []
    # Keys that the statement is given are bounded, and so is what SQLite calls anonymous, a part of the same statement.
    bounded = ("SCAN anon_", "SCAN given_", "SCAN (subquery-")
    assert [step for step in plans if step.startswith("SCAN") and not step.startswith(bounded)] == []
