"""Jobs and bodies for the tests of attempts, and how they are done."""

from typing import Any

from shared import contract, ping
from tests.unit.rig import ROLE, Rig
from workers.guard import Guard, Unguarded
from workers.job import Body, Finish, Job
from workers.turn import Turn

PING = ping.kind_for(ROLE)


def put(rig: Rig, **changes: Any) -> str:
    """Accept a ping."""
    return rig.put(**{"kind": PING.name, "params": {}, **changes})


def take_turn(body: Body, job_id: str, *, guard: Guard | None = None) -> str | None:
    """Do a job and what else waits."""
    watch = guard or Unguarded(turn_seconds=60)
    return Turn(ROLE, {PING.name: (PING, body)}, owner="test", guard=watch).work(job_id)


def attempt(body: Body, job_id: str, *, guard: Guard | None = None) -> str | None:
    """Do one attempt at a job."""
    return Turn(ROLE, {PING.name: (PING, body)}, owner="test", guard=guard or Unguarded()).work(job_id)


def pong(job: Job, _command: contract.Command) -> Finish:
    """Answer."""
    return ping.Pong(attempt=job.attempt)


def raising(error: BaseException) -> Body:
    """Make a body that raises an error."""

    def body(_job: Job, _command: contract.Command) -> Finish:
        raise error

    return body
