"""The processes of inference servers, as far as they have told lately that they run."""

from typing import Any

import sqlalchemy as sa

from shared import clock, database
from shared.prediction.tables import deployments, inference_copies

_LIVE_MS = 30_000
"""For how long one counts as there after it was heard of; they tell it every ten seconds, by way of the sweeper."""


class NoCopyError(Exception):
    """Something is deployed, and no inference server is there."""

    def __init__(self) -> None:
        """Say it in a few words."""
        super().__init__("not heard of")


def list_live(databases: database.Databases) -> list[dict[str, Any]] | None:
    """List the processes of inference servers that are there; None while the prediction role's database is down."""
    try:
        with databases["prediction"].statements.connect() as connection:
            rows = connection.execute(_live().order_by(inference_copies.c.host, inference_copies.c.id)).all()
    except database.FAULTS:
        return None
    return [
        {
            "id": row.id,
            "host": row.host,
            "pid": row.pid,
            "address": f"http://{row.host}:{row.port}",
            "ready": row.is_ready,
            "manifest": row.manifest,
            "since": clock.to_text(row.since),
            "seen_at": clock.to_text(row.seen_at),
        }
        for row in rows
    ]


def require(databases: database.Databases) -> None:
    """Raise NoCopyError when something is deployed and no inference server is there; the database may be down."""
    try:
        with databases["prediction"].statements.connect() as connection:
            is_missed = sa.select(
                sa.exists(sa.select(deployments.c.name).where(deployments.c.state.isnot(None))), sa.exists(_live())
            )
            is_deployed, is_there = connection.execute(is_missed).one()
    except database.FAULTS:
        return
    if is_deployed and not is_there:
        raise NoCopyError


def _live() -> sa.Select[Any]:
    return sa.select(inference_copies).where(inference_copies.c.seen_at > clock.now_ms() - _LIVE_MS)
