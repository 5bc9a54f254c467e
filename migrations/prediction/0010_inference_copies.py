"""Add the processes of inference servers that have told that they run.

Locks: none that block anything; the table is new.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "inference_copies",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("manifest", sa.BigInteger, nullable=False),
        sa.Column("is_ready", sa.Boolean, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inference_copies")),
    )


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("inference_copies")
