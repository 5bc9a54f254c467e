"""Ids that carry their role and sort by time: `training_01JD…`."""

import re
import threading

import ulid

_PATTERN = re.compile(r"^([a-z]{1,32})_([0-7][0-9A-HJKMNP-TV-Z]{25})$")
_lock = threading.Lock()
_last = 0


def new_ulid() -> str:
    """Make a ULID greater than every one that this process made before."""
    global _last
    with _lock:
        number = int(ulid.ULID())
        _last = number if number > _last else _last + 1
        return str(ulid.ULID.from_int(_last))


def new_job_id(role: str) -> str:
    """Make the id of a new job of a role."""
    return f"{role}_{new_ulid()}"


def role_of(job_id: str) -> str | None:
    """Give the role that an id carries; None when it is no job id."""
    match = _PATTERN.match(job_id)
    return match.group(1) if match else None


def ulid_of(job_id: str) -> str:
    """Give the part of a job id that sorts by time."""
    return job_id.rpartition("_")[2]
