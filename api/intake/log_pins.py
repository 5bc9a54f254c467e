"""Pins jobs to a deployment's log as it is when they are accepted."""

from typing import Any

from api.intake.deployment_pins import no_such_deployment
from api.intake.orders import Acceptance
from shared import clock, database
from shared.prediction import changes
from shared.prediction.logs import files

_ROLE = "prediction"


def pin(acceptance: Acceptance) -> dict[str, Any]:
    """Pin the time until which rows are taken; raises NoSuchDeploymentError, UnavailableError.

    A deployment that was deleted may have a log still.
    """
    name, tenant_id = acceptance.command.deployment, acceptance.tenant_id
    with database.available(_ROLE), acceptance.databases[_ROLE].statements.connect() as connection:
        head = changes.find(connection, tenant_id=tenant_id, name=name)
        if head is None and not files.has_any(connection, tenant_id=tenant_id, deployment=name):
            raise no_such_deployment(acceptance, name)
        return {"accepted_at": clock.read(connection)}
