"""Index models' versions by their age, their dataset and the values of their metrics, and add those that are there.

Locks: versions are read all the time, except for the moment in which the columns are added; none is written until they
are filled and indexed, so that jobs that write one wait or are tried again. Other jobs go on. A version that a worker
of the release before writes afterwards is listed, but found by none of these.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables, metric_values

revision = "0008"
down_revision = "0007"
_KEY = ("tenant_id", "name", "version")
_NEWEST = ("created_at", "name", "version")
_ROWS_AT_ONCE = 1000


def upgrade() -> None:
    """Apply this revision."""
    metric_values.add_columns("model_versions", {"dataset_label": sa.String(200), "dataset_name": sa.String(128)})
    _fill_datasets()
    op.create_index("ix_model_versions_newest", "model_versions", ["tenant_id", *_NEWEST])
    op.create_index("ix_model_versions_dataset", "model_versions", ["tenant_id", "dataset_name", *_NEWEST])
    key: metric_values.Types = {"name": sa.String(63), "version": sa.Integer()}
    groups: metric_values.Types = {"name": sa.String(63), "dataset_name": sa.String(128)}
    metric_values.create("model_metrics", key, groups)
    metric_values.fill(
        "model_metrics", "model_versions", (*_KEY, "dataset_name"), where=sa.column("deleted_at").is_(None)
    )
    metric_values.create_indexes("model_metrics", key, groups)


def _fill_datasets() -> None:
    versions = sa.table(
        "model_versions",
        *map(sa.column, (*_KEY, "dataset_label", "dataset_name")),
        sa.column("lineage", initial_tables.JSON),
    )
    is_version = sa.and_(*(versions.c[name] == sa.bindparam(f"of_{name}") for name in _KEY))
    change = sa.update(versions).where(is_version)
    connection = op.get_bind()
    rows = connection.execute(
        sa.select(*(versions.c[name] for name in _KEY), versions.c.lineage),
        execution_options={"yield_per": _ROWS_AT_ONCE},
    )
    for part in rows.partitions():
        labels = [(row, _find_label(row.lineage)) for row in part]
        changes = [
            {f"of_{name}": getattr(row, name) for name in _KEY}
            | {"dataset_label": label, "dataset_name": label.partition("@")[0]}
            for row, label in labels
            if label
        ]
        if changes:
            connection.execute(change, changes)


def _find_label(lineage: dict[str, Any]) -> str:
    """Find the dataset that a version was trained on; one from an archive is named by its SHA-256."""
    original, is_imported = lineage, False
    while isinstance(original.get("original"), dict):
        original, is_imported = original["original"], True
    label = original.get("dataset")
    if not isinstance(label, str) or not is_imported:
        return label if isinstance(label, str) else ""
    digest = original.get("dataset_sha256")
    return f"{label.partition('@')[0]}@{digest}" if digest else ""


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("model_metrics")
    op.drop_index("ix_model_versions_dataset", "model_versions")
    op.drop_index("ix_model_versions_newest", "model_versions")
    for column in ("dataset_name", "dataset_label"):
        op.drop_column("model_versions", column)
