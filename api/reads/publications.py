"""What is published of feature sets for look-up."""

from typing import Any

import sqlalchemy as sa

from shared import clock, database, errors
from shared.processing.tables import feature_publications, pushed_rows

_ROLE = "processing"
_table = feature_publications


def list_published(databases: database.Databases, tenant_id: str, name: str) -> list[dict[str, Any]]:
    """List what is published of a feature set, the latest version first; NotFoundError when nothing is."""
    same = [pushed_rows.c[column.name] == column for column in _table.primary_key]
    pushed = sa.select(sa.func.count()).select_from(pushed_rows).where(*same).scalar_subquery()
    query = sa.select(_table, pushed.label("pushed")).where(_table.c.tenant_id == tenant_id, _table.c.name == name)
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        rows = connection.execute(query.order_by(_table.c.version.desc(), _table.c.published_at.desc())).all()
    if not rows:
        raise errors.NotFoundError(f"Nothing is published of the feature set {name!r}.")
    return [
        {
            "features": f"{row.name}@{row.version}",
            "key": row.key_columns,
            "columns": row.columns,
            "dataset": row.dataset,
            "rows": row.rows,
            "bytes": row.bytes,
            "sha256": row.sha256,
            "pushed_rows": row.pushed,
            "job_id": row.job_id,
            "published_at": clock.to_text(row.published_at),
        }
        for row in rows
    ]
