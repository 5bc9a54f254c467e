"""What was made before lineage had edges gets them, and removals of aliases don't stand in the way back."""

import pathlib
from typing import Any

import pytest
import sqlalchemy as sa

from migrations import command_line, stores
from shared import settings
from shared.catalog.lineage import EDGES
from shared.training import tables

ROW: dict[str, Any] = {"tenant_id": "acme", "job_id": "job_1", "created_by": "key", "created_at": 1}
EVALUATION = {
    **ROW, "id": "evaluation_1", "model": "churn@1", "dataset": "telco@2", "metrics": "{}", "rows": 1,
    "skipped_rows": 0, "warnings": "[]", "lineage": "{}",
}  # fmt: skip
DATASET = {
    **ROW, "name": "guesses", "version": 3, "key": "k", "sha256": "s", "bytes": 1, "rows": 1, "columns": "[]",
    "profile": "[]", "notes": "[]", "lineage": '{"model": "churn@1", "source": {"type": "upload"}}',
}  # fmt: skip


def insert(connection: sa.Connection, table: str, row: dict[str, Any]) -> None:
    """Insert a row as the release before would have."""
    connection.execute(sa.insert(sa.table(table, *map(sa.column, row))).values(row))
    connection.commit()


@pytest.mark.parametrize(
    ("store", "table", "row", "edges"),
    [
        ("evaluation", "evaluations", EVALUATION, {("model", "churn@1"), ("dataset", "telco@2")}),
        ("prediction", "dataset_versions", DATASET, {("model", "churn@1")}),
    ],
)
def test_what_was_made_before_gets_its_edges(
    tmp_path: pathlib.Path, store: str, table: str, row: dict[str, Any], edges: set[tuple[str, str]]
) -> None:
    config = settings.Settings(home=tmp_path)
    command_line.upgrade(store, config=config)
    command_line.downgrade(store, config=config, revision="0002")
    with stores.connect(store, config=config) as connection:
        insert(connection, table, row)
    command_line.upgrade(store, config=config)
    with stores.connect(store, config=config) as connection:
        found = connection.execute(sa.select(EDGES)).all()
    assert {(edge.source_type, edge.source) for edge in found} == edges
    assert {edge.target for edge in found} == {row.get("id") or f"{row['name']}@{row['version']}"}


def test_a_removed_alias_is_forgotten_on_the_way_back(tmp_path: pathlib.Path) -> None:
    config = settings.Settings(home=tmp_path)
    command_line.upgrade("training", config=config)
    change = {"tenant_id": "acme", "name": "churn", "alias": "best", "changed_by": "key", "changed_at": 1}
    with stores.connect("training", config=config) as connection:
        insert(connection, "model_alias_changes", {**change, "id": "1", "version": 1})
        insert(connection, "model_alias_changes", {**change, "id": "2", "version": None})
    command_line.downgrade("training", config=config, revision="0003")
    with stores.connect("training", config=config) as connection:
        left = connection.execute(sa.select(tables.model_alias_changes.c.id)).scalars().all()
    assert left == ["1"]
