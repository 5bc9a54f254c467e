"""Kinds of jobs that only the tests have: they sleep, hold the interpreter's lock, ignore being stopped, crash."""

import ctypes
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Literal

import pydantic
import sqlalchemy as sa
import structlog

from shared import contract, errors, ping
from workers import bodies
from workers.job import Finish, Job, Rest, Spawn

_log = structlog.get_logger()

How = Literal["sleep", "hold_lock", "ignore_stop", "crash", "exit", "say", "retryable", "connection", "wrong", "tell"]

effects = sa.Table("effects", sa.MetaData(), sa.Column("job_id", sa.String(64)), sa.Column("attempt", sa.Integer))
"""What jobs have done, a row each; nothing in it keeps a job from doing it twice."""


class Act(contract.Command):
    """Do something that a good job wouldn't."""

    how: How = pydantic.Field(default="sleep", description="What to do.")
    seconds: float = pydantic.Field(default=0.0, description="For how long, in seconds.")
    times: int = pydantic.Field(default=1000, description="In how many of the first attempts.")
    children: int = pydantic.Field(default=0, description="How many jobs to submit that do the same, and to wait for.")
    secret: str = pydantic.Field(default="", description="A text that no log may show.")


class Acted(contract.Result):
    """What was done."""

    attempt: int = pydantic.Field(description="The attempt that came to its end.")


def kind_for(role: str) -> contract.Kind:
    """Make a role's kind of act."""
    return contract.Kind(name=f"{role}.act", command=Act, result=Acted, description="Misbehave, for a test.")


def register(roles: Sequence[str]) -> None:
    """Let this process's workers do the acts of some roles."""
    for role in roles:
        bodies.job(kind_for(role))(act)


def register_ping(role: str) -> None:
    """Let this process's workers answer a role's pings, and do none of its own jobs."""
    bodies.job(ping.kind_for(role))(lambda job, _command: ping.Pong(attempt=job.attempt))


def act(job: Job, command: Act) -> Finish:
    """Do what was asked, and leave one row as its effect."""
    if command.children and (rest := _wait_for_children(job, command)):
        return rest
    if not command.children and job.attempt <= command.times:
        _WAYS[command.how](command)

    def finish(connection: sa.Connection) -> Acted:
        connection.execute(sa.insert(effects).values(job_id=job.id, attempt=job.attempt))
        return Acted(attempt=job.attempt)

    return finish


def _wait_for_children(job: Job, command: Act) -> Rest | None:
    made = job.children()
    ended = sum(child.state.is_terminal() for child in made)
    if made and ended == len(made):
        return None
    role = job.id.partition("_")[0]
    one = Spawn(kind_for(role), command.model_copy(update={"children": 0}))
    return Rest(spawn=[] if made else [one] * command.children, interim={"ended": ended})


def _sleep(command: Act) -> None:
    time.sleep(command.seconds)


def _hold_lock(command: Act) -> None:
    # PyDLL, unlike CDLL, keeps the interpreter's lock during the call.
    ctypes.PyDLL(None).usleep(int(command.seconds * 1e6))


def _ignore_stop(command: Act) -> None:
    limit = time.monotonic() + command.seconds
    while time.monotonic() < limit:
        try:
            time.sleep(0.1)
        except BaseException:  # noqa: BLE001 - it is meant to be deaf.
            continue


def _crash(_command: Act) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _exit(_command: Act) -> None:
    sys.exit(3)


def _say(command: Act) -> None:
    raise ValueError(command.secret)


def _retryable(_command: Act) -> None:
    raise errors.RetryableError("not yet")


def _connection(_command: Act) -> None:
    raise ConnectionResetError("the other side has gone")


def _tell(command: Act) -> None:
    _log.info("act_began", seconds=command.seconds)
    logging.getLogger("acts").warning("it looks bad")
    warnings.warn("it is bad", stacklevel=1)
    time.sleep(command.seconds)
    _retryable(command)


def _wrong(_command: Act) -> None:
    raise errors.BadDataError("never")


_WAYS: dict[How, Callable[[Act], None]] = {
    "sleep": _sleep,
    "hold_lock": _hold_lock,
    "ignore_stop": _ignore_stop,
    "crash": _crash,
    "exit": _exit,
    "say": _say,
    "retryable": _retryable,
    "connection": _connection,
    "wrong": _wrong,
    "tell": _tell,
}
