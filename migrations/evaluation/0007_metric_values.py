"""Index evaluations by their model, their dataset and the values of their metrics, and add those that are there.

Locks: evaluations are read all the time, except for the moment in which the columns are added; none is written until
they are filled and indexed, so that jobs that write one wait or are tried again. Other jobs go on. An evaluation that a
worker of the release before writes afterwards is listed, but found by none of these.
"""

import sqlalchemy as sa
from alembic import op

from migrations import metric_values

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply this revision."""
    key: metric_values.Types = {"id": sa.String(64)}
    names: metric_values.Types = {"model_name": sa.String(128), "dataset_name": sa.String(128)}
    metric_values.add_columns("evaluations", names)
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    before_at = "substr({0}, 1, instr({0} || '@', '@') - 1)" if is_sqlite else "split_part({0}, '@', 1)"
    changes = ", ".join(f"{name}_name = {before_at.format(name)}" for name in ("model", "dataset"))
    op.execute(f"UPDATE evaluations SET {changes}")
    for name in ("model", "dataset"):
        op.create_index(f"ix_evaluations_{name}", "evaluations", ["tenant_id", f"{name}_name", "id"])
    metric_values.create("evaluation_metrics", key, names)
    metric_values.fill("evaluation_metrics", "evaluations", ("tenant_id", "id", *names))
    metric_values.create_indexes("evaluation_metrics", key, names)


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("evaluation_metrics")
    for name in ("dataset", "model"):
        op.drop_index(f"ix_evaluations_{name}", "evaluations")
        op.drop_column("evaluations", f"{name}_name")
