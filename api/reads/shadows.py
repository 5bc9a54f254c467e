"""What the shadows of a deployment have said beside the versions that answered."""

from typing import Any

from shared import clock, database, errors
from shared.prediction import changes
from shared.prediction.shadows import report, stored

_ROLE = "prediction"


def show(databases: database.Databases, tenant_id: str, name: str) -> dict[str, Any]:
    """Compute the report of a deployment's shadows; raises NotFoundError where there is none."""
    with database.available(_ROLE), databases[_ROLE].transactions.connect() as connection:
        row = changes.find(connection, tenant_id=tenant_id, name=name)
        if row is None:
            raise errors.NotFoundError(f"There is no deployment {name!r} here.")
        shadows = row.state.get("shadow", [])
        if not shadows:
            raise errors.NotFoundError(f"The deployment {name!r} has no `shadow`; put one to compare it.")
        ids = {shadow["id"] for shadow in shadows}
        sums = stored.read(connection, tenant_id=tenant_id, deployment=name, shadows=ids)
        now = clock.read(connection)
    return {
        "deployment": name,
        "revision": row.revision,
        "reported_at": clock.to_text(now),
        "shadows": report.compose(shadows, sums),
    }
