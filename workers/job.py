"""What the body of a job may know and do: its pins, files, progress and children; it never writes the job's state."""

import contextlib
import dataclasses
import functools
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from shared import contract, database, settings, telemetry
from shared.jobs import ledger, offspring
from shared.objects import hostcache, opening, scratch
from shared.objects.store import Output, Store

_log = structlog.get_logger()
_PROGRESS_SECONDS = 1.0

Write = Callable[[sa.Connection], contract.Result]
"""Writes a role's rows in the job's last transaction, and gives the result."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rest:
    """Returned by a body whose job is to wait for others: the job lies in the queue until a child has ended."""

    spawn: Sequence["Spawn"] = ()
    """Jobs to submit, as this one's children."""
    interim: dict[str, Any] | None = None
    """What has been found so far, which the job's document shows."""
    seconds: float = 30.0
    """The longest rest, should no child end."""


@dataclasses.dataclass(frozen=True)
class Spawn:
    """A job that a job submits."""

    kind: contract.Kind
    command: contract.Command
    pinned: Mapping[str, Any] = dataclasses.field(default_factory=dict)


Finish = contract.Result | Write | Rest
"""What a body returns: its result, or, when it keeps rows, the function that writes them; or that it rests."""


class Job:
    """What a task's body may know and do of its job."""

    def __init__(self, claim: ledger.Claim) -> None:
        """Give a body its claim."""
        self.id = claim.job_id
        self.tenant_id = claim.tenant_id
        self.attempt = claim.attempt
        self.pinned = claim.pinned
        self.submitted_by = claim.submitted_by
        self._parent_id = claim.parent_id
        self._retry_of = claim.retry_of
        self._scratch: scratch.Scratch | None = None
        self.config = settings.load()
        self.role = claim.kind.partition(".")[0]
        """The role whose worker does it."""
        self._outputs: list[Output] = []
        self._held: hostcache.Hold | None = None
        self._last_progress = 0.0

    @property
    def _hold(self) -> hostcache.Hold:
        if self._held is None:
            self._held = hostcache.Hold(hostcache.open_cache(self.config))
        return self._held

    def fetch(
        self, pin: contract.DatasetPin | contract.ModelPin | contract.FeaturesPin | contract.UploadPin
    ) -> pathlib.Path:
        """Give a local file with a pinned object's bytes, its SHA-256 checked."""
        return self.store.fetch(pin.key, sha256=pin.sha256, hold=self._hold)

    @property
    def store(self) -> Store:
        """The object store, for jobs whose work is the store itself."""
        return opening.open_store(self.config)

    def cached(self, name: str, make: hostcache.MakeEntry) -> pathlib.Path:
        """Give an entry of this host's cache, made first when the host lacks it; it is there until the job ends."""
        return self._hold.link(name, make)

    def output(self, name: str) -> Output:
        """Give a fresh file to write; it becomes an immutable object before the job's rows are committed."""
        key = f"{self.tenant_id}/{self.role}/{self.id}/{self.attempt}/{name}"
        output = self.store.stage(key)
        self._outputs.append(output)
        return output

    def progress(self, fraction: float, message: str) -> None:
        """Report how far the job is (0 to 1); written once a second at most, and never a reason to fail."""
        now = time.monotonic()
        if now - self._last_progress < _PROGRESS_SECONDS:
            return
        self._last_progress = now
        with contextlib.suppress(*database.FAULTS), database.of_process()[self.role].relaxed.connect() as connection:
            ledger.report(connection, self.id, attempt=self.attempt, fraction=fraction, message=message)

    def show(self, interim: dict[str, Any]) -> None:
        """Show what has been found so far in the job's document, for its parent and its siblings too."""
        with contextlib.suppress(*database.FAULTS), database.of_process()[self.role].relaxed.connect() as connection:
            offspring.write_interim(connection, self.id, attempt=self.attempt, interim=interim)

    def children(self) -> list[offspring.Child]:
        """Give the jobs that this one has submitted, the oldest first."""
        return self._children_of(self.id)

    def siblings(self) -> list[offspring.Child]:
        """Give the children of this job's parent, this one among them; none when no job has submitted it."""
        return [] if self._parent_id is None else self._children_of(self._parent_id)

    def earlier_children(self) -> list[offspring.Child]:
        """Give the children of the jobs that this one is a retry of, those of the latest first."""
        found: list[offspring.Child] = []
        with database.of_process()[self.role].statements.connect() as connection:
            before = self._retry_of
            while before is not None:
                found += offspring.read_children(connection, before, tenant_id=self.tenant_id)
                before = offspring.find_retried_job(connection, before, tenant_id=self.tenant_id)
        return found

    def _children_of(self, parent_id: str) -> list[offspring.Child]:
        with database.of_process()[self.role].statements.connect() as connection:
            return offspring.read_children(connection, parent_id, tenant_id=self.tenant_id)

    def publish(self) -> None:
        """Make the written files objects, durably."""
        for output in self._outputs:
            if output.path.exists():
                self.store.publish(output)

    @property
    def scratch(self) -> pathlib.Path:
        """A folder for files that are needed on the way; it is removed afterwards."""
        if self._scratch is None:
            self._scratch = scratch.Scratch(pathlib.Path(tempfile.gettempdir()))
        return self._scratch.path

    def discard(self) -> None:
        """Remove what was written and not published, and what was needed on the way."""
        leavings: list[Callable[[], None]] = [
            functools.partial(output.path.unlink, missing_ok=True) for output in self._outputs
        ]
        if self._held is not None:
            leavings.append(self._held.close)
        if self._scratch is not None:
            leavings.append(self._scratch.remove)
        for remove in leavings:
            try:
                remove()
            except OSError as fault:
                # The job's end is written, and perhaps the next one is in hand: a file that stays must cost neither.
                _log.warning("job_cleanup_failed", job_id=self.id, **telemetry.describe(fault))


Body = Callable[[Job, Any], Finish]
"""The function that does a kind of job, given the job and its command."""
