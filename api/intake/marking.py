"""Changes the tags and the note of a version or an evaluation."""

from typing import Any

import sqlalchemy as sa

from api.reads.kept import Place
from shared import database, errors
from shared.catalog import marks
from shared.evaluation.tables import evaluation_tags, evaluations

_EVALUATION = "evaluation"


def change_version(databases: database.Databases, place: Place, row: sa.Row[Any], changes: dict[str, Any]) -> None:
    """Change a version, given its row; raises NotFoundError when it was deleted meanwhile."""
    key = {name: getattr(row, name) for name in ("tenant_id", "name", "version")}
    with database.available(place.role), databases[place.role].transactions.begin() as connection:
        is_there = marks.change(connection, place.versions, place.tags, changes=changes, **key)
    if not is_there:
        raise errors.NotFoundError(f"There is no {row.name}@{row.version} here.")


def change_evaluation(
    databases: database.Databases, tenant_id: str, evaluation_id: str, changes: dict[str, Any]
) -> None:
    """Change an evaluation; raises NotFoundError."""
    key = {"tenant_id": tenant_id, "id": evaluation_id}
    with database.available(_EVALUATION), databases[_EVALUATION].transactions.begin() as connection:
        is_there = marks.change(connection, evaluations, evaluation_tags, changes=changes, **key)
    if not is_there:
        raise errors.NotFoundError(f"There is no evaluation {evaluation_id!r}.")
