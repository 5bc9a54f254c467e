"""The worker's side: the runtime owns a job's life; a task's body never writes a job's state."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import celery
import pydantic
import sqlalchemy as sa
import structlog

from shared import (
    contract,
    database,
    datasets,
    errors,
    guard,
    hostcache,
    ids,
    ledger,
    objects,
    offspring,
    roles,
    scratch,
    settings,
    stores,
    telemetry,
)
from shared.jobs import State

_log = structlog.get_logger()
_LONGEST_WAIT_SECONDS = 300.0
_PROGRESS_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 8.0

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

PASSING = (errors.RetryableError, ConnectionError, TimeoutError, *database.FAULTS)
"""Faults after which the same job may succeed later."""


class Table(Protocol):
    """A table that a body has written to a file."""

    @property
    def columns(self) -> Sequence[contract.Column]:
        """Its columns, in order."""

    @property
    def rows(self) -> int:
        """How many rows it has."""

    @property
    def bytes(self) -> int:
        """The file's size."""

    @property
    def sha256(self) -> str:
        """The file's SHA-256, in hexadecimal."""


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
        self._outputs: list[objects.Output] = []
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
    def store(self) -> objects.Store:
        """The object store, for jobs whose work is the store itself."""
        return stores.open_store(self.config)

    def cached(self, name: str, make: hostcache.Make) -> pathlib.Path:
        """Give an entry of this host's cache, made first when the host lacks it; it is there until the job ends."""
        return self._hold.link(name, make)

    def output(self, name: str) -> objects.Output:
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
        with contextlib.suppress(*database.FAULTS), _engines(self.role).relaxed.connect() as connection:
            ledger.report(connection, self.id, attempt=self.attempt, fraction=fraction, message=message)

    def show(self, interim: dict[str, Any]) -> None:
        """Show what has been found so far in the job's document, for its parent and its siblings too."""
        with contextlib.suppress(*database.FAULTS), _engines(self.role).relaxed.connect() as connection:
            offspring.show(connection, self.id, attempt=self.attempt, interim=interim)

    def children(self) -> list[offspring.Child]:
        """Give the jobs that this one has submitted, the oldest first."""
        return self._children_of(self.id)

    def siblings(self) -> list[offspring.Child]:
        """Give the children of this job's parent, this one among them; none when no job has submitted it."""
        return [] if self._parent_id is None else self._children_of(self._parent_id)

    def earlier_children(self) -> list[offspring.Child]:
        """Give the children of the jobs that this one is a retry of, those of the latest first."""
        found: list[offspring.Child] = []
        with _engines(self.role).statements.connect() as connection:
            before = self._retry_of
            while before is not None:
                found += offspring.of(connection, before, tenant_id=self.tenant_id)
                before = offspring.retried(connection, before, tenant_id=self.tenant_id)
        return found

    def _children_of(self, parent_id: str) -> list[offspring.Child]:
        with _engines(self.role).statements.connect() as connection:
            return offspring.of(connection, parent_id, tenant_id=self.tenant_id)

    def new_dataset(
        self,
        name: str,
        *,
        key: str,
        table: Table,
        notes: list[str],
        lineage: dict[str, Any],
        profile: list[dict[str, Any]] | None = None,
    ) -> datasets.NewVersion:
        """Describe a table that this job has written, as a dataset's next version."""
        return datasets.NewVersion(
            tenant_id=self.tenant_id,
            name=name,
            job_id=self.id,
            created_by=self.submitted_by,
            key=key,
            sha256=table.sha256,
            bytes=table.bytes,
            rows=table.rows,
            columns=list(table.columns),
            profile=profile or [],
            notes=notes,
            lineage=lineage,
        )

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
                _log.warning("not_removed", job_id=self.id, **telemetry.describe(fault))


Body = Callable[[Job, Any], Finish]

_bodies: dict[str, dict[str, tuple[contract.Kind, Body]]] = {}
_guard: guard.Guard | None = None


def _engines(role: str) -> database.Engines:
    return database.of_process()[role]


def set_guard(process_guard: guard.Guard | None) -> None:
    """Let the tasks of this process be watched by a guard."""
    global _guard
    _guard = process_guard


class JobError(Exception):
    """Tells Celery, and so Flower, that a job failed; it carries ids only."""


def job(kind: contract.Kind) -> Callable[[Body], Body]:
    """Register a function as the body of a kind of job, under the kind's name."""

    def register(body: Body) -> Body:
        def answer(task: Any, *, v: int, job_id: str) -> None:
            """Do what a doorbell asks for, if the row says that there is something to do; then what else waits."""
            if v != 1:
                raise JobError(f"doorbell version {v} is not known")
            owner = f"{task.request.hostname}/{os.getpid()}"
            error = work(kind, job_id, owner=owner)
            if error is not None:
                raise JobError(f"{job_id}: {error}")

        celery.shared_task(answer, name=kind.name, bind=True, throws=(JobError,))
        _bodies.setdefault(kind.role, {})[kind.name] = (kind, body)
        return body

    return register


def perform(kind: contract.Kind, body: Body, job_id: str, *, owner: str) -> str | None:
    """Claim a job, do it and write its end; gives the error's class when it failed, else None."""
    return _Turn(kind.role, {kind.name: (kind, body)}, owner=owner, seconds=0.0).work(job_id)


def work(kind: contract.Kind, job_id: str, *, owner: str) -> str | None:
    """Do the job that a doorbell names, then what else of its role waits: that needs no doorbell of its own.

    Gives the class of the error with which the named job failed, else None.
    """
    seconds = _guard.turn_seconds if _guard else 0.0
    return _Turn(kind.role, _bodies[kind.role], owner=owner, seconds=seconds).work(job_id)


class _Turn:
    """One job of a role after another, the first first, until none is ready or the turn is over."""

    def __init__(self, role: str, known: dict[str, tuple[contract.Kind, Body]], *, owner: str, seconds: float) -> None:
        self._role = role
        self._known = known
        self._until = time.monotonic() + seconds
        self._terms: dict[str, Any] = {
            "owner": owner,
            "lease_seconds": settings.load().lease_seconds,
            "max_run_seconds": roles.ROLES[role].max_run_seconds,
        }

    def work(self, job_id: str) -> str | None:
        """Do the named job, and others; gives the class of the error with which the named job failed."""
        with _guard.busy() if _guard else contextlib.nullcontext():
            error, held = self._claim(lambda connection: ledger.claim(connection, job_id, **self._terms))
            if held is not None:
                error, held = self._do(held, has_message=True)
            while held is not None or (held := self._next()):
                held = self._do(held, has_message=False)[1]
        return error

    def _may_go_on(self) -> bool:
        return time.monotonic() < self._until and not (_guard is not None and _guard.is_last())

    def _next(self) -> "_Held | None":
        if not self._may_go_on():
            return None
        return self._claim(lambda connection: ledger.claim_next(connection, list(self._known), **self._terms))[1]

    def _claim(self, take: Callable[[sa.Connection], ledger.Claim | None]) -> "tuple[str | None, _Held | None]":
        """Take a job; gives the class of the error that kept us from it, and the job."""
        since = time.monotonic()
        try:
            with _engines(self._role).relaxed.connect() as connection:
                claim = take(connection)
        except database.FAULTS as fault:
            # The row waits, and the sweeper rings for it again.
            _log.warning("claim_failed", role=self._role, error=type(fault).__name__)
            return type(fault).__name__, None
        return None, None if claim is None else _Held(claim, since)

    def _do(self, held: "_Held", *, has_message: bool) -> "tuple[str | None, _Held | None]":
        """Do a job; gives the class of the error with which it failed, and the next job if it came with the end."""
        claim = held.claim
        kind, body = self._known[claim.kind]
        attempt = _Attempt(kind, claim, take_next=self._take_next)
        with structlog.contextvars.bound_contextvars(
            job_id=claim.job_id, role=self._role, kind=kind.name, tenant=claim.tenant_id, attempt=claim.attempt
        ):
            _log.info("job_claimed")
            with _watched(held, has_message=has_message) as told:
                told.error = attempt.run(body)
                told.goes_on = attempt.next is not None
        return told.error, attempt.next

    def _take_next(self) -> dict[str, Any] | None:
        """Give the terms for taking the next job together with an end; None when none is to be taken."""
        return {"kinds": list(self._known), **self._terms} if self._may_go_on() else None


@dataclasses.dataclass(frozen=True)
class _Held:
    """A claimed job, and the monotonic time, in seconds, before which its lease did not begin."""

    claim: ledger.Claim
    since: float


@contextlib.contextmanager
def _watched(held: _Held, *, has_message: bool) -> Iterator[guard.Told]:
    if _guard is None:
        yield guard.Told()
        return
    claim = held.claim
    with _guard.work(
        claim.kind, claim.job_id, attempt=claim.attempt, since=held.since, has_message=has_message
    ) as told:
        yield told


class _Attempt:
    """One attempt at a job, from the claim to the end."""

    def __init__(
        self, kind: contract.Kind, claim: ledger.Claim, *, take_next: Callable[[], dict[str, Any] | None]
    ) -> None:
        self._kind = kind
        self._claim = claim
        self._take_next = take_next
        self.next: _Held | None = None
        """The job that was taken together with this one's end."""
        self._engines = _engines(kind.role)
        self._started = time.monotonic()

    def run(self, body: Body) -> str | None:
        """Run the body and write how it ended; gives the error's class when it failed."""
        context = Job(self._claim)
        try:
            finish = self._work(body, context)
            if isinstance(finish, Rest):
                rest = finish
                self._lasting(lambda: self._rest(rest))
            else:
                done = finish
                self._lasting(lambda: self._succeed(done))
        except guard.Stop:
            self._lasting(self._hand_back)
            return "Stopped"
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a body raises ends its job only.
            fault = error
            self._lasting(lambda: self._fail(fault))
            return type(error).__name__
        finally:
            context.discard()
        return None

    def _work(self, body: Body, context: Job) -> Finish:
        with _guard.stoppable() if _guard else contextlib.nullcontext():
            try:
                command = self._kind.command.model_validate(self._claim.params)
            except pydantic.ValidationError as invalid:
                raise errors.PermanentError("The job's parameters don't fit this worker's version.") from invalid
            finish = body(context, command)
            context.publish()
            return finish

    def _lasting(self, write: Callable[[], None]) -> None:
        """Write a job's end although the database is away, for as long as nobody else may have claimed the job."""
        limit = time.monotonic() + settings.load().fence_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return write()
            except database.FAULTS as fault:
                if time.monotonic() + pause > limit or (_guard is not None and _guard.stopped):
                    _log.error("job_end_not_written", **telemetry.describe(fault))
                    return None
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    def _succeed(self, done: contract.Result | Write) -> None:
        if isinstance(done, contract.Result) and self._claim.parent_id is None:
            ended = self._succeed_and_go_on(done)
        else:
            with self._engines.transactions.begin() as connection:
                result = done if isinstance(done, contract.Result) else done(connection)
                ended = self._end(connection, State.SUCCEEDED, result=result.model_dump(mode="json"))
        self._tell(State.SUCCEEDED, ended=ended)

    def _succeed_and_go_on(self, result: contract.Result) -> bool:
        """Write the end of a job that keeps no rows, and with it take the next job, if there is to be one."""
        terms = self._take_next()
        if terms is None:
            with self._engines.statements.begin() as connection:
                return self._end(connection, State.SUCCEEDED, result=result.model_dump(mode="json"))
        since = time.monotonic()
        claim = self._claim
        with self._engines.single_statement().begin() as connection:
            ended, taken = ledger.finish_and_claim_next(
                connection, claim.job_id, attempt=claim.attempt, result=result.model_dump(mode="json"), **terms
            )
        self.next = None if taken is None else _Held(taken, since)
        return ended

    def _end(
        self,
        connection: sa.Connection,
        state: State,
        *,
        result: dict[str, Any] | None = None,
        error: tuple[str, str] | None = None,
    ) -> bool:
        """Write the end, or roll everything back when another attempt has the job."""
        claim = self._claim
        ended = ledger.finish(connection, claim.job_id, attempt=claim.attempt, state=state, result=result, error=error)
        if not ended:
            connection.rollback()
        elif claim.parent_id is not None:
            offspring.wake(connection, [claim.job_id])
        return ended

    def _rest(self, rest: Rest) -> None:
        """Submit children and lay the job back, in one transaction; a cancelled job ends instead."""
        claim = self._claim
        with self._engines.transactions.begin() as connection:
            rests = offspring.rest(
                connection,
                claim.job_id,
                attempt=claim.attempt,
                wakes=claim.wakes,
                wait_seconds=rest.seconds,
                interim=rest.interim,
            )
            if rests and rest.spawn:
                ledger.accept(connection, [self._child(spawn) for spawn in rest.spawn], ring_again_seconds=0)
        if not rests:
            return self._hand_back()
        _log.info("job_rests", spawned=len(rest.spawn))
        return None

    def _child(self, spawn: Spawn) -> ledger.NewJob:
        claim = self._claim
        role = spawn.kind.role
        if role != self._kind.role:
            raise ValueError(f"{self._kind.name} can't submit {spawn.kind.name}: another role has another database")
        return ledger.NewJob(
            id=ids.new_job_id(role),
            tenant_id=claim.tenant_id,
            kind=spawn.kind.name,
            params=spawn.command.model_dump(mode="json"),
            pinned=spawn.pinned,
            submitted_by=claim.submitted_by,
            tries_left=roles.ROLES[role].tries,
            priority=claim.priority,
            parent_id=claim.job_id,
            traceparent=claim.traceparent,
        )

    def _tell(self, state: State, *, ended: bool, error: str | None = None) -> None:
        """Log what has been committed."""
        if not ended:
            _log.warning("job_fenced")
            return
        seconds = round(time.monotonic() - self._started, 3)
        _log.info(f"job_{state}", seconds=seconds, **({"error": error} if error else {}))

    def _fail(self, error: BaseException) -> None:
        text = errors.flatten(error)
        described = (text["type"], text["message"])
        if not isinstance(error, errors.MillraceError):
            _log.error("job_error", **telemetry.describe(error))
        asked = error.retry_after_seconds if isinstance(error, errors.MillraceError) else None
        wait = max(self._wait_seconds(), asked or 0.0)
        with self._engine_of_end().begin() as connection:
            if isinstance(error, PASSING) and ledger.try_again(
                connection, self._claim.job_id, attempt=self._claim.attempt, wait_seconds=wait, error=described
            ):
                _log.info("job_retried", error=described[0], wait_seconds=round(wait, 3))
                return
            ended = self._end(connection, State.FAILED, error=described)
        self._tell(State.FAILED, ended=ended, error=described[0])

    def _engine_of_end(self) -> sa.Engine:
        """Give the engine for an end: a child's is written together with its parent's waking."""
        return self._engines.statements if self._claim.parent_id is None else self._engines.transactions

    def _wait_seconds(self) -> float:
        """Draw a wait with full jitter: rand(0, min(300 s, base·2ⁿ)), n being the tries that failed before."""
        failed = max(0, roles.ROLES[self._kind.role].tries - self._claim.tries_left)
        base = settings.load().retry_base_seconds
        return random.uniform(0, min(_LONGEST_WAIT_SECONDS, base * 2**failed))  # noqa: S311 - jitter is no secret.

    def _hand_back(self) -> None:
        with self._engine_of_end().begin() as connection:
            swept = ledger.hand_back(connection, self._claim.job_id, attempt=self._claim.attempt)
            if self._claim.parent_id is not None:
                offspring.wake_for(connection, swept)
        _log.info("job_stopped", state=swept[0].state if swept else None)
