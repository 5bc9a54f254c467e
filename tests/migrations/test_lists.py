"""What was made before lists could be sorted by metrics is found by its metrics, its model and its dataset too."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from migrations import command_line, metric_values, stores
from shared import settings
from shared.evaluation.tables import evaluation_metrics, evaluations
from shared.jobs import references
from shared.jobs.tables import job_tags, jobs
from shared.training.tables import model_metrics, model_versions
from tests.migrations.test_migrations import config

__all__ = ["config"]
ROW: dict[str, Any] = {"tenant_id": "acme", "job_id": "job_1", "created_by": "key", "created_at": 1, "rows": 1}
EVALUATION = {
    **ROW, "id": "evaluation_1", "model": "churn@1", "dataset": "telco@2", "metrics": '{"roc_auc": 0.5, "f1": null}',
    "skipped_rows": 0, "warnings": "[]", "lineage": "{}",
}  # fmt: skip
MODEL = {
    **ROW, "name": "churn", "key": "k", "sha256": "s", "bytes": 1, "problem": "regression", "estimator": "{}",
    "recipe": "{}", "signature": "{}", "dropped_columns": "{}", "warnings": "[]", "notes": "[]", "libraries": "{}",
    "metrics": '{"r2": {"mean": 0.25, "std": 0.0, "folds": []}, "rows": {"mean": null}}',
}  # fmt: skip
DIGEST = "a" * 64
LINEAGES = [
    {"dataset": "telco@2"},
    {"source": {}, "original": {"source": {}, "original": {"dataset": "bank@7", "dataset_sha256": DIGEST}}},
    {"source": {}, "original": None},
]


def insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows as the release before would have."""
    is_json = {column.name for column in table.c if isinstance(column.type, sa.JSON)}
    for row in rows:
        values = {name: json.loads(value) if name in is_json else value for name, value in row.items()}
        plain = sa.table(table.name, *(sa.column(name, table.c[name].type) for name in row))
        connection.execute(sa.insert(plain).values(**values))
    connection.commit()


def read(connection: sa.Connection, *columns: sa.Column[Any]) -> Iterator[tuple[Any, ...]]:
    """Read columns of a table."""
    return map(tuple, connection.execute(sa.select(*columns).order_by(*columns)))


def test_evaluations_are_found(config: settings.Settings) -> None:
    command_line.upgrade("evaluation", config=config)
    command_line.downgrade("evaluation", config=config, revision="0006")
    with stores.connect("evaluation", config=config) as connection:
        insert(connection, evaluations, [EVALUATION])
    command_line.upgrade("evaluation", config=config)
    with stores.connect("evaluation", config=config) as connection:
        table, values = evaluations.c, evaluation_metrics.c
        assert list(read(connection, table.model_name, table.dataset_name)) == [("churn", "telco")]
        columns = (values.id, values.metric, values.value, values.model_name, values.dataset_name)
        assert list(read(connection, *columns)) == [("evaluation_1", "roc_auc", 0.5, "churn", "telco")]


@pytest.mark.parametrize("config", [pytest.param("postgresql", marks=pytest.mark.servers)], indirect=True)
@pytest.mark.parametrize(
    ("store", "before", "table", "row"),
    [
        ("evaluation", "0006", evaluations, EVALUATION),
        ("training", "0007", model_versions, {**MODEL, "version": 1, "lineage": "{}"}),
    ],
)
def test_rows_are_read_while_their_values_are_added_and_a_revision_that_failed_is_run_again(
    config: settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    before: str,
    table: sa.Table,
    row: dict[str, Any],
) -> None:
    command_line.upgrade(store, config=config)
    command_line.downgrade(store, config=config, revision=before)
    with stores.connect(store, config=config) as connection:
        insert(connection, table, [row])

    def read_then_fail(*_tables: Any, **_options: Any) -> None:
        with stores.connect(store, config=config) as reader:
            reader.execute(sa.text("SET lock_timeout = '1s'"))
            assert reader.execute(sa.text(f"SELECT count(*) FROM {table.name}")).scalar() == 1
            with pytest.raises(sqlalchemy.exc.OperationalError, match="lock timeout"):
                reader.execute(sa.text(f"DELETE FROM {table.name}"))
        raise ValueError("the host went down")

    with monkeypatch.context() as broken:
        broken.setattr(metric_values, "fill", read_then_fail)
        with pytest.raises(ValueError, match="went down"):
            command_line.upgrade(store, config=config)
    command_line.upgrade(store, config=config)
    command_line.check(store, config=config)


def test_models_are_found(config: settings.Settings) -> None:
    command_line.upgrade("training", config=config)
    command_line.downgrade("training", config=config, revision="0007")
    rows = [
        {**MODEL, "version": number, "lineage": json.dumps(lineage), "deleted_at": 1 if number == 3 else None}
        for number, lineage in enumerate(LINEAGES, start=1)
    ]
    with stores.connect("training", config=config) as connection:
        insert(connection, model_versions, rows)
    command_line.upgrade("training", config=config)
    with stores.connect("training", config=config) as connection:
        table, values = model_versions.c, model_metrics.c
        assert list(read(connection, table.version, table.dataset_label, table.dataset_name)) == [
            (1, "telco@2", "telco"),
            (2, f"bank@{DIGEST}", "bank"),
            (3, "", ""),
        ]
        columns = (values.version, values.metric, values.value, values.dataset_name)
        assert list(read(connection, *columns)) == [(1, "r2", 0.25, "telco"), (2, "r2", 0.25, "bank")]


def test_jobs_are_found(config: settings.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrations.references._JOBS_AT_ONCE", 2)
    monkeypatch.setattr("migrations.references._ROWS_AT_ONCE", 1)
    command_line.upgrade("evaluation", config=config)
    command_line.downgrade("evaluation", config=config, revision="0008")
    pins = {
        "model": {"name": "churn", "version": 3, "signature": {}},
        "dataset": {"name": "telco", "version": 2, "columns": []},
        "upload": {"key": "k"},
    }
    job = {
        "tenant_id": "acme", "kind": "evaluation.score", "state": "queued", "version": 1, "priority": 0, "place": "9",
        "params": "{}", "tags": "[]", "attempt": 0, "tries_left": 3, "lost": 0, "cancel_requested": 0, "run_after": 0,
        "ring_after": 0, "submitted_by": "key", "created_at": 1,
    }  # fmt: skip
    with stores.connect("evaluation", config=config) as connection:
        rows = [("evaluation_1", pins, None), ("evaluation_2", {}, None), ("evaluation_3", pins, "evaluation_1")]
        rows += [("evaluation_4", pins, None)]
        rows_of = [{**job, "id": id_, "pinned": json.dumps(pin), "parent_id": parent} for id_, pin, parent in rows]
        insert(connection, jobs, rows_of)
    command_line.upgrade("evaluation", config=config)
    with stores.connect("evaluation", config=config) as connection:
        found = {(row.job_id, row.tag) for row in connection.execute(sa.select(job_tags))}
        tags = references.list_tags(pins, {})
        assert found == {(id_, tag) for id_ in ("evaluation_1", "evaluation_4") for tag in tags}
        assert len(tags) == 4
    command_line.downgrade("evaluation", config=config, revision="0008")
    with stores.connect("evaluation", config=config) as connection:
        assert connection.execute(sa.select(job_tags)).all() == []
