"""Alembic's environment, the same for every store; the configuration's attribute `store` names it."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context

from migrations import stores

_LOCK_TIMEOUT = "5s"


def _run(connection: sa.Connection, store: str) -> None:
    if connection.dialect.name == "postgresql":
        # A migration that waits for a lock blocks everybody behind it, so it fails early and is run again.
        connection.execute(sa.text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
        # One migration at a time, however many containers start at once.
        connection.execute(sa.text("SELECT pg_advisory_lock(hashtext('millrace-migrations'))"))
        connection.commit()
    context.configure(
        connection=connection,
        target_metadata=stores.metadata_of(store),
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        # What one revision locks is free before the next begins, and what is done stays done where the next fails.
        transaction_per_migration=True,
        render_item=_render,
    )
    with context.begin_transaction():
        context.run_migrations()


def _render(item_type: str, item: Any, autogen_context: Any) -> str | Literal[False]:
    """Write our JSON type by its name, and leave everything else to Alembic."""
    if item_type != "type" or not isinstance(item, sa.JSON):
        return False
    autogen_context.imports.add("from migrations import initial_tables")
    return "initial_tables.JSON"


def _main() -> None:
    options: dict[str, Any] = context.config.attributes
    _run(options["connection"], options["store"])


_main()
