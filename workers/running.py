"""What a keeper knows of the work of a pool process: the jobs that it holds, and when it beats for them."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared.jobs import ledger

SendToFlower = Callable[[str, dict[str, Any]], None]
"""Sends Flower an event, by its name and its fields."""


@dataclasses.dataclass
class Task:
    """The job that one of the pool's processes works on, or the jobs that it does together."""

    held: Sequence[ledger.Held]
    pid: int
    slot: int
    since: float
    last_beat: float
    next_beat: float
    next_cancel_check: float
    kind: str = ""
    has_message: bool = True
    """Whether a message of Celery's started the first job, so that Flower knows of it."""
    data_bytes: int = 0
    """How much memory its process was last seen with, of the kind that is limited."""
    stop_sent: float | None = None
    kill_at: float = math.inf

    @property
    def job_id(self) -> str:
        """The id of the first job."""
        return self.held[0].job_id

    @property
    def attempt(self) -> int:
        """The attempt of the first job."""
        return self.held[0].attempt

    def beat(self, connection: sa.Connection, *, lease_seconds: float) -> ledger.Beat | None:
        """Renew the leases; None when a job no longer belongs to its attempt."""
        if len(self.held) == 1:
            return ledger.beat(connection, self.job_id, attempt=self.attempt, lease_seconds=lease_seconds)
        return ledger.beat_all(connection, self.held, lease_seconds=lease_seconds)

    def peek(self, connection: sa.Connection) -> ledger.Beat | None:
        """Read what a beat reads."""
        if len(self.held) == 1:
            return ledger.peek(connection, self.job_id, attempt=self.attempt)
        return ledger.peek_all(connection, self.held)

    def show_start(self, send: SendToFlower) -> None:
        """Show Flower the jobs that no message started."""
        for job_id in self._list_unshown():
            send("task-received", {"uuid": job_id, "name": self.kind, "args": "()", "kwargs": "{}"})
            send("task-started", {"uuid": job_id})

    def show_end(self, send: SendToFlower, *, errors: Mapping[str, str], seconds: float) -> None:
        """Show Flower how the jobs that no message started ended; `errors` has why jobs failed, by their ids."""
        for job_id in self._list_unshown():
            if job_id in errors:
                send("task-failed", {"uuid": job_id, "exception": errors[job_id], "traceback": ""})
            else:
                send("task-succeeded", {"uuid": job_id, "result": "None", "runtime": seconds})

    def _list_unshown(self) -> list[str]:
        return [each.job_id for each in self.held[1 if self.has_message else 0 :]]
