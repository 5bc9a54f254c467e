"""Add deployments, the versions that they need, and the ledger of their changes, which nobody can change afterwards.

Locks: none that block anything; every table is new.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0007"
down_revision = "0006"

_REFUSAL = "deployment_changes is append-only"
_FUNCTION = f"""
CREATE FUNCTION refuse_deployment_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'insufficient_privilege';
END
$$
"""
_EVENTS = ("UPDATE", "DELETE")


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "deployments",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", initial_tables.JSON),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_deployments")),
    )
    op.create_table(
        "deployment_versions",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("reference", sa.String(127), nullable=False),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("pin", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "deployment", "reference", name=op.f("pk_deployment_versions")),
    )
    op.create_index("ix_deployment_versions_model", "deployment_versions", ["tenant_id", "model", "version"])
    op.create_table(
        "deployment_changes",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("state", initial_tables.JSON),
        sa.Column("previous_sha256", sa.String(64)),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "deployment", "revision", name=op.f("pk_deployment_changes")),
    )
    _add_triggers()


def _add_triggers() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_FUNCTION)
        op.execute(
            "CREATE TRIGGER refuse_changes BEFORE UPDATE OR DELETE ON deployment_changes "
            "FOR EACH ROW EXECUTE FUNCTION refuse_deployment_changes()"
        )
        op.execute(
            "CREATE TRIGGER refuse_truncation BEFORE TRUNCATE ON deployment_changes "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_deployment_changes()"
        )
        return
    for event in _EVENTS:
        op.execute(
            f"CREATE TRIGGER refuse_{event.lower()} BEFORE {event} ON deployment_changes "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("deployment_changes")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_deployment_changes()")
    op.drop_index("ix_deployment_versions_model", "deployment_versions")
    op.drop_table("deployment_versions")
    op.drop_table("deployments")
