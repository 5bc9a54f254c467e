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
from shared.catalog import stored_bytes
from shared.jobs import ledger, offspring
from shared.objects import hostcache, opening, scratch
from shared.objects.store import Output, Store

_log = structlog.get_logger()
_PROGRESS_SECONDS = 1.0

Write = Callable[[sa.Connection], contract.Result]
"""Writes a role's rows in the job's last transaction, and returns the result."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rest:
    """Returned by a body whose job has to wait: it rests in the queue until one of its children has ended."""

    spawn: Sequence["Spawn"] = ()
    """Jobs to submit as this one's children."""
    interim: dict[str, Any] | None = None
    """Results so far, which the job's document shows."""
    seconds: float = 30.0
    """The longest rest, in case no child ends."""
    write: Callable[[sa.Connection], None] | None = None
    """Writes rows of the role in the transaction by which the job rests, and only if it does."""


@dataclasses.dataclass(frozen=True)
class Spawn:
    """A job to submit as a child."""

    kind: contract.Kind
    command: contract.Command
    pinned: Mapping[str, Any] = dataclasses.field(default_factory=dict)


Finish = contract.Result | Write | Rest
"""What a body returns: its result; or, when it keeps rows, the function that writes them; or that it rests."""


class Job:
    """What a body may know of its job, and do with it."""

    def __init__(self, claim: ledger.Claim) -> None:
        """Wrap a claim for the job's body."""
        self.id = claim.job_id
        self.tenant_id = claim.tenant_id
        self.attempt = claim.attempt
        self.pinned = claim.pinned
        self.submitted_by = claim.submitted_by
        self.priority = claim.priority
        self.correlation_id = claim.story_id
        """The id of the story that it belongs to, which its events carry."""
        self._parent_id = claim.parent_id
        self._retry_of = claim.retry_of
        self._scratch: scratch.Scratch | None = None
        self.config = settings.load()
        self.role = claim.kind.partition(".")[0]
        """The role whose worker does the job."""
        self._outputs: list[Output] = []
        self._open_hold: hostcache.Hold | None = None
        self._last_progress = 0.0
        self._after_success: list[Callable[[], None]] = []

    @property
    def _hold(self) -> hostcache.Hold:
        if self._open_hold is None:
            self._open_hold = hostcache.Hold(hostcache.open_cache(self.config))
        return self._open_hold

    def fetch(
        self, pin: contract.DatasetPin | contract.ModelPin | contract.FeaturesPin | contract.UploadPin
    ) -> pathlib.Path:
        """Fetch a pinned object, check its SHA-256, and return the path of a local file with its bytes."""
        return self.store.fetch(pin.key, sha256=pin.sha256, hold=self._hold)

    @property
    def store(self) -> Store:
        """The object store, for jobs that work on the store itself."""
        return opening.open_store(self.config)

    def cached(self, name: str, make: hostcache.MakeEntry) -> pathlib.Path:
        """Return the path of an entry of this host's cache, made when it is missing; it stays until the job ends."""
        return self._hold.link(name, make)

    def output(self, name: str) -> Output:
        """Stage a new file to write; it becomes an immutable object before the job's rows are committed."""
        key = f"{self.folder}/{self.attempt}/{name}"
        output = self.store.stage(key)
        self._outputs.append(output)
        return output

    def progress(self, fraction: float, message: str) -> None:
        """Report how far the job is (0 to 1), at most once a second; a database that is down is no reason to fail."""
        now = time.monotonic()
        if now - self._last_progress < _PROGRESS_SECONDS:
            return
        self._last_progress = now
        with contextlib.suppress(*database.FAULTS), database.of_process()[self.role].relaxed.connect() as connection:
            ledger.report(connection, self.id, attempt=self.attempt, fraction=fraction, message=message)

    def show(self, interim: dict[str, Any]) -> None:
        """Show results so far in the job's document, where its parent and its siblings see them too."""
        with contextlib.suppress(*database.FAULTS), database.of_process()[self.role].relaxed.connect() as connection:
            offspring.write_interim(connection, self.id, attempt=self.attempt, interim=interim)

    def children(self) -> list[offspring.Child]:
        """List the jobs that this one has submitted, the oldest first."""
        return self._children_of(self.id)

    def siblings(self) -> list[offspring.Child]:
        """List the children of this job's parent, this one included; none when it has no parent."""
        return [] if self._parent_id is None else self._children_of(self._parent_id)

    def earlier_children(self) -> list[offspring.Child]:
        """List the children of the jobs that this one is a retry of, those of the latest first."""
        children: list[offspring.Child] = []
        with database.of_process()[self.role].statements.connect() as connection:
            earlier = self._retry_of
            while earlier is not None:
                children += offspring.read_children(connection, earlier, tenant_id=self.tenant_id)
                earlier = offspring.find_retried_job(connection, earlier, tenant_id=self.tenant_id)
        return children

    def _children_of(self, parent_id: str) -> list[offspring.Child]:
        with database.of_process()[self.role].statements.connect() as connection:
            return offspring.read_children(connection, parent_id, tenant_id=self.tenant_id)

    def publish(self) -> None:
        """Turn the written files into durable objects; LimitExceededError when the tenant's quota has no room."""
        written = [output for output in self._outputs if output.path.exists()]
        self._check_quota(sum(output.path.stat().st_size for output in written))
        for output in written:
            self.store.publish(output)

    def _check_quota(self, new_bytes: int) -> None:
        if stored_bytes.PIN in self.pinned:
            with database.of_process()[self.role].statements.connect() as connection:
                stored_bytes.check(
                    connection, self.pinned, role=self.role, tenant_id=self.tenant_id, new_bytes=new_bytes
                )

    @property
    def scratch(self) -> pathlib.Path:
        """The folder for the job's temporary files; it is removed afterwards."""
        if self._scratch is None:
            self._scratch = scratch.Scratch(pathlib.Path(tempfile.gettempdir()))
        return self._scratch.path

    @property
    def folder(self) -> str:
        """The folder of the store that has the objects of all attempts at the job."""
        return f"{self.tenant_id}/{self.role}/{self.id}"

    def after_success(self, clean_up: Callable[[], None]) -> None:
        """Do something once the job's success is committed; whether it is done is not certain."""
        self._after_success.append(clean_up)

    def discard(self, *, has_succeeded: bool = False) -> None:
        """Remove unpublished files, temporary files and links to the cache."""
        cleanups: list[Callable[[], None]] = [
            functools.partial(output.path.unlink, missing_ok=True) for output in self._outputs
        ]
        cleanups += self._after_success if has_succeeded else []
        if self._open_hold is not None:
            cleanups.append(self._open_hold.close)
        if self._scratch is not None:
            cleanups.append(self._scratch.remove)
        for clean_up in cleanups:
            try:
                clean_up()
            except OSError as error:
                # The job's end is written, and the next job may be claimed: a leftover file must cost neither.
                _log.warning("job_cleanup_failed", job_id=self.id, **telemetry.describe(error))


Body = Callable[[Job, Any], Finish]
"""The function that does a kind of job, given the job and its command."""

GatheredBody = Callable[[Sequence[Job], Sequence[Any]], Sequence[contract.Result]]
"""The body of a kind that gathers: given jobs and their commands, it returns a result for each, in order.

An error that it raises for several jobs is none of theirs: each is then done by itself.
"""
