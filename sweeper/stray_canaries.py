"""The chore of pausing canaries whose job has ended without them, so that none seems to be watched that isn't."""

from typing import Any

import sqlalchemy as sa
import structlog

from shared import database
from shared.jobs import tables
from shared.jobs.states import TERMINAL
from shared.prediction import changes
from shared.prediction.canaries import moves
from shared.prediction.tables import deployments

_log = structlog.get_logger()
_SECONDS = 5.0


class StrayCanaries:
    """Pauses running canaries whose job was cancelled, has failed, or is dead."""

    seconds = _SECONDS

    def __init__(self, engines: database.Engines) -> None:
        """Look into the prediction role's database."""
        self._engines = engines

    def do(self) -> None:
        """Look once."""
        status = deployments.c.state["canary"]["status"].as_string()
        query = sa.select(deployments.c.tenant_id, deployments.c.name, deployments.c.state)
        with self._engines.statements.connect() as connection:
            rows = connection.execute(query.where(deployments.c.state.isnot(None), status == "running")).all()
        for row in rows:
            job_id = row.state["canary"]["job"]
            ended = None if job_id is None else self._find_end(job_id)
            if ended is not None:
                self._pause(row, job_id, ended=ended)

    def _find_end(self, job_id: str) -> str | None:
        """Read the state of a job that has ended; None while it has not."""
        with self._engines.statements.connect() as connection:
            state = connection.execute(sa.select(tables.jobs.c.state).where(tables.jobs.c.id == job_id)).scalar()
        return "gone" if state is None else state if state in TERMINAL else None

    def _pause(self, row: Any, job_id: str, *, ended: str) -> None:
        with self._engines.transactions.begin() as connection:
            head = changes.lock(connection, tenant_id=row.tenant_id, name=row.name)
            canary = (head.state or {}).get("canary") or {}
            if (canary.get("status"), canary.get("job")) != ("running", job_id):
                # It was moved by the job's last turn, or by somebody.
                return
            reason = f"Its job {job_id} is {ended}, so its gate is not checked; resume it or abort it."
            pins = changes.read_pins(connection, tenant_id=row.tenant_id, name=row.name)
            changes.append(
                connection,
                head,
                moves.pause(head.state, reason=reason),
                pins=pins,
                author=changes.Author(action="canary_paused", changed_by=job_id, reason=reason),
            )
        _log.warning("canary_paused", deployment=row.name, job_id=job_id, state=ended)
