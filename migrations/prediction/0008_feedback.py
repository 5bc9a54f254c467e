"""Add feedback, exposures, counts of what was served, and the checks of canaries.

Locks: none that block anything; every table is new.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply this revision."""
    _add_served()
    _add_feedback()
    op.create_table(
        "canary_checks",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("canary", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("step", sa.SmallInteger, nullable=False),
        sa.Column("checked_at", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("metrics", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "deployment", "canary", "number", name=op.f("pk_canary_checks")),
    )


def _add_served() -> None:
    op.create_table(
        "exposures",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("arm", sa.String(127), nullable=False),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("first_seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "deployment", "arm", "unit", name=op.f("pk_exposures")),
    )
    op.create_table(
        "served_counts",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("arm", sa.String(127), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("histogram", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "deployment", "arm", "started_at", name=op.f("pk_served_counts")),
    )
    op.create_index("ix_served_counts_started_at", "served_counts", ["started_at"])
    op.create_table(
        "taken_segments",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("taken_at", sa.BigInteger, nullable=False),
        sa.Column("records", sa.Integer, nullable=False),
        sa.Column("lost", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_taken_segments")),
    )
    op.create_index("ix_taken_segments_taken_at", "taken_segments", ["taken_at"])


def _add_feedback() -> None:
    op.create_table(
        "prediction_keys",
        sa.Column("id", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction_keys")),
    )
    op.create_table(
        "feedback",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("prediction", sa.String(40), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("arm", sa.String(127), nullable=False),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("predicted_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("predicted", sa.String(100)),
        sa.Column("actual", sa.String(1000)),
        sa.Column("correct", sa.SmallInteger),
        sa.Column("error", sa.Double),
        sa.Column("value", sa.Double),
        sa.PrimaryKeyConstraint("tenant_id", "deployment", "prediction", name=op.f("pk_feedback")),
    )
    op.create_index("ix_feedback_arm", "feedback", ["tenant_id", "deployment", "arm", "predicted_at"])


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("canary_checks")
    op.drop_index("ix_feedback_arm", "feedback")
    op.drop_table("feedback")
    op.drop_table("prediction_keys")
    op.drop_index("ix_taken_segments_taken_at", "taken_segments")
    op.drop_table("taken_segments")
    op.drop_index("ix_served_counts_started_at", "served_counts")
    op.drop_table("served_counts")
    op.drop_table("exposures")
