"""The worker's side: the runtime owns a job's life; a task's body never writes a job's state."""

import contextlib
import os
import pathlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import celery
import pydantic
import sqlalchemy as sa
import structlog

from shared import contract, database, datasets, errors, guard, ledger, roles, settings, storage, telemetry
from shared.jobs import State

_log = structlog.get_logger()
_LONGEST_WAIT_SECONDS = 300.0
_PROGRESS_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 8.0

Write = Callable[[sa.Connection], contract.Result]
"""Writes a role's rows in the job's last transaction, and gives the result."""

Finish = contract.Result | Write
"""What a body returns: its result, or, when it keeps rows, the function that writes them."""

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
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self.config = settings.load()
        self._role = claim.kind.partition(".")[0]
        self._outputs: list[storage.Output] = []
        self._last_progress = 0.0

    def _store(self) -> storage.LocalStore:
        return storage.open_store(self.config)

    def fetch(
        self, pin: contract.DatasetPin | contract.ModelPin | contract.FeaturesPin | contract.UploadPin
    ) -> pathlib.Path:
        """Give a local file with a pinned object's bytes, its SHA-256 checked."""
        return self._store().fetch(pin.key, sha256=pin.sha256)

    def output(self, name: str) -> storage.Output:
        """Give a fresh file to write; it becomes an immutable object before the job's rows are committed."""
        key = f"{self.tenant_id}/{self._role}/{self.id}/{self.attempt}/{name}"
        output = self._store().stage(key)
        self._outputs.append(output)
        return output

    def progress(self, fraction: float, message: str) -> None:
        """Report how far the job is (0 to 1); written once a second at most, and never a reason to fail."""
        now = time.monotonic()
        if now - self._last_progress < _PROGRESS_SECONDS:
            return
        self._last_progress = now
        with contextlib.suppress(*database.FAULTS), _engines(self._role).relaxed.connect() as connection:
            ledger.report(connection, self.id, attempt=self.attempt, fraction=fraction, message=message)

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
                self._store().publish(output)

    @property
    def scratch(self) -> pathlib.Path:
        """A folder for files that are needed on the way; it is removed afterwards."""
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="millrace-", ignore_cleanup_errors=True)
        return pathlib.Path(self._scratch.name)

    def discard(self) -> None:
        """Remove what was written and not published, and what was needed on the way."""
        if self._scratch is not None:
            self._scratch.cleanup()
        for output in self._outputs:
            output.path.unlink(missing_ok=True)


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
            error = perform(kind, body, job_id, owner=owner)
            work_on(kind.role, owner=owner)
            if error is not None:
                raise JobError(f"{job_id}: {error}")

        celery.shared_task(answer, name=kind.name, bind=True, throws=(JobError,))
        _bodies.setdefault(kind.role, {})[kind.name] = (kind, body)
        return body

    return register


def perform(kind: contract.Kind, body: Body, job_id: str, *, owner: str) -> str | None:
    """Claim a job, do it and write its end; gives the error's class when it failed, else None."""
    known = {kind.name: (kind, body)}
    return _do(kind.role, known, lambda connection, **how: ledger.claim(connection, job_id, **how), owner=owner)[1]


def work_on(role: str, *, owner: str) -> None:
    """Do the jobs of a role that wait, the first first, until there are none: they need no doorbell of their own."""
    known = _bodies.get(role, {})
    limit = time.monotonic() + (_guard.turn_seconds if _guard else 0.0)
    while time.monotonic() < limit and not (_guard and _guard.is_last()):
        found, _error = _do(
            role,
            known,
            lambda connection, **how: ledger.claim_next(connection, list(known), **how),
            owner=owner,
            has_message=False,
        )
        if not found:
            return


def _do(
    role: str,
    known: dict[str, tuple[contract.Kind, Body]],
    take: Callable[..., ledger.Claim | None],
    *,
    owner: str,
    has_message: bool = True,
) -> tuple[bool, str | None]:
    """Take a job and do it; gives whether there was one, and the error's class when it failed."""
    with _guard.busy() if _guard else contextlib.nullcontext():
        since = time.monotonic()
        try:
            claim = _claim(role, take, owner=owner)
        except database.FAULTS as fault:
            # The row waits, and the sweeper rings for it again.
            _log.warning("claim_failed", role=role, error=type(fault).__name__)
            return False, type(fault).__name__
        if claim is None:
            return False, None
        kind, body = known[claim.kind]
        with structlog.contextvars.bound_contextvars(
            job_id=claim.job_id, role=role, kind=kind.name, tenant=claim.tenant_id, attempt=claim.attempt
        ):
            _log.info("job_claimed")
            with _watched(claim, since=since, has_message=has_message) as told:
                told["error"] = _Attempt(kind, claim).run(body)
            return True, told["error"]


def _claim(role: str, take: Callable[..., ledger.Claim | None], *, owner: str) -> ledger.Claim | None:
    with _engines(role).relaxed.connect() as connection:
        return take(
            connection,
            owner=owner,
            lease_seconds=settings.load().lease_seconds,
            max_run_seconds=roles.ROLES[role].max_run_seconds,
        )


@contextlib.contextmanager
def _watched(claim: ledger.Claim, *, since: float, has_message: bool) -> Iterator[dict[str, str | None]]:
    if _guard is None:
        yield {}
        return
    with _guard.work(claim.kind, claim.job_id, attempt=claim.attempt, since=since, has_message=has_message) as told:
        yield told


class _Attempt:
    """One attempt at a job, from the claim to the end."""

    def __init__(self, kind: contract.Kind, claim: ledger.Claim) -> None:
        self._kind = kind
        self._claim = claim
        self._engines = _engines(kind.role)
        self._started = time.monotonic()

    def run(self, body: Body) -> str | None:
        """Run the body and write how it ended; gives the error's class when it failed."""
        context = Job(self._claim)
        try:
            finish = self._work(body, context)
            self._lasting(lambda: self._succeed(finish))
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

    def _succeed(self, done: Finish) -> None:
        if isinstance(done, contract.Result):
            with self._engines.statements.begin() as connection:
                ended = self._end(connection, State.SUCCEEDED, result=done.model_dump(mode="json"))
        else:
            with self._engines.transactions.begin() as connection:
                ended = self._end(connection, State.SUCCEEDED, result=done(connection).model_dump(mode="json"))
        self._tell(State.SUCCEEDED, ended=ended)

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
        return ended

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
        wait = self._wait_seconds()
        with self._engines.statements.begin() as connection:
            if isinstance(error, PASSING) and ledger.try_again(
                connection, self._claim.job_id, attempt=self._claim.attempt, wait_seconds=wait, error=described
            ):
                _log.info("job_retried", error=described[0], wait_seconds=round(wait, 3))
                return
            ended = self._end(connection, State.FAILED, error=described)
        self._tell(State.FAILED, ended=ended, error=described[0])

    def _wait_seconds(self) -> float:
        """Draw a wait with full jitter: rand(0, min(300 s, base·2ⁿ)), n being the tries that failed before."""
        failed = max(0, roles.ROLES[self._kind.role].tries - self._claim.tries_left)
        base = settings.load().retry_base_seconds
        return random.uniform(0, min(_LONGEST_WAIT_SECONDS, base * 2**failed))  # noqa: S311 - jitter is no secret.

    def _hand_back(self) -> None:
        with self._engines.statements.begin() as connection:
            swept = ledger.hand_back(connection, self._claim.job_id, attempt=self._claim.attempt)
        _log.info("job_stopped", state=swept[0].state if swept else None)
