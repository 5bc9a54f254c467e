"""Ids that contain their role and sort by time: `training_01JD…`."""

import os
import re
import secrets
import threading
import time

import ulid

_PATTERN = re.compile(r"([a-z]{1,32})_([0-7][0-9A-HJKMNP-TV-Z]{25})")
_RANDOM_BITS = 80
_lock = threading.Lock()
_last = 0


def new_ulid() -> str:
    """Create a ULID greater than all earlier ones of this process."""
    global _last
    with _lock:
        number = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        # The step is random too, because processes that are forked from this one start with the same last id:
        # docs/decisions/workers.md, "ULIDs step by chance when the clock stands still".
        _last = number if number > _last else _last + 1 + secrets.randbits(_RANDOM_BITS // 2)
        return str(ulid.ULID.from_int(_last))


def first_ulid_at(milliseconds: int) -> str:
    """Return the least ULID of a moment, in epoch milliseconds by the clock of whoever makes ids."""
    return str(ulid.ULID.from_int(milliseconds << _RANDOM_BITS))


def _after_fork() -> None:
    """Replace the lock in a forked process: the parent's may be held forever, by a thread that was not forked."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def new_job_id(role: str) -> str:
    """Create the id of a new job of a role."""
    return f"{role}_{new_ulid()}"


def role_of(job_id: str) -> str | None:
    """Return the role in a job's id; None when it is no job id."""
    match = _PATTERN.fullmatch(job_id)
    return match.group(1) if match else None


def ulid_of(job_id: str) -> str:
    """Return the ULID in a job's id, which sorts by time."""
    return job_id.rpartition("_")[2]
