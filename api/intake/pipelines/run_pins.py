"""What a run needs when it is accepted: a version of its pipeline, with parameters that fit it."""

from typing import Any

from api.intake.orders import Acceptance
from shared import database
from shared.orchestration import beginning

ROLE = "orchestration"


def pin(acceptance: Acceptance) -> dict[str, Any]:
    """Pin the version that a run carries out; raises NotFoundError, InvalidRequestError, ConflictError."""
    with database.available(ROLE), acceptance.databases[ROLE].statements.connect() as connection:
        begun = beginning.make(
            connection,
            acceptance.command,
            tenant_id=acceptance.tenant_id,
            version=None,
            pointer=f"{acceptance.pointer.rstrip('/')}/params",
        )
    steps = len(begun.pipeline.steps)
    return {"pipeline": {"name": acceptance.command.pipeline, "version": begun.version, "steps": steps}}
