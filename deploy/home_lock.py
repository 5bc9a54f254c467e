"""Lets one `make up` at a time run a home: two would share its SQLite files and its Valkey.

The lock is the kernel's (flock): it goes with the last process that holds it, whatever ended that.
"""

import contextlib
import fcntl
import os
import pathlib
import sys
import time


def hold(home: pathlib.Path, *, wait_seconds: float) -> int:
    """Lock a home and give the descriptor that holds the lock; exit with a sentence when another runs this home.

    A supervisor that was killed leaves processes that hold the lock while they end: these we wait for.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = os.open(home / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    limit = time.monotonic() + wait_seconds
    while not _is_ours(lock):
        holder = _holder(lock)
        if _is_alive(holder):
            sys.exit(
                f"an earlier `make up` of this home still runs (pid {holder}); "
                "stop it, or give this one another MILLRACE_HOME"
            )
        if time.monotonic() > limit:
            sys.exit(
                f"an earlier `make up` of this home was killed, but {_name_others(lock)} still runs; "
                "stop that, or give this one another MILLRACE_HOME"
            )
        time.sleep(0.1)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _is_ours(lock: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _holder(lock: int) -> int:
    """Read who has the lock; 0 while it has not yet written so."""
    return int(os.pread(lock, 20, 0) or 0)


def _name_others(lock: int) -> str:
    """Name the processes that have a lock's file open, as far as the system tells."""
    mine, found = os.fstat(lock), []
    for link in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        pid = link.parts[2]
        with contextlib.suppress(OSError):
            if pid != str(os.getpid()) and os.path.samestat(link.stat(), mine):
                found.append(pid)
    pids = ", ".join(sorted(set(found), key=int))
    return f"what it started (pid {pids})" if pids else "something that it started"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
