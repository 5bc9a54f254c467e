"""Who holds a lease: text that lets another process of the same host prove that the holder is dead.

A lease's owner is `worker/place/parent/start/pid`. The place is one boot of one kernel and one namespace of process ids
in it, so only there do the numbers after it mean anything. A process id alone proves nothing, because it is used again;
with the time at which its process started it does. See docs/decisions/workers.md, "A lease is handed back early only
on proof of death".
"""

import functools
import os
import pathlib
import sys

_PROC = pathlib.Path("/proc")
_MAX_NAME_LENGTH = 80
"""The column has 200 characters, and what follows the worker's name at most 120."""
_STATE, _THREADS, _START = 0, 17, 19
"""Places in /proc/PID/stat after the command's name: fields 3, 20 and 22 of proc(5)."""


def name_process(worker: str) -> str:
    """Build the text by which this pool process of a worker owns leases; without proof material where there is none."""
    return _name_process(abbreviate(worker), os.getpid(), os.getppid())


def read_worker(owner: str) -> str:
    """Read the worker's name out of an owner, as `abbreviate` leaves it."""
    return owner.partition("/")[0]


def abbreviate(worker: str) -> str:
    """Cut a worker's name to what owners hold of it."""
    return worker[:_MAX_NAME_LENGTH]


# Per process and parent, because a fork inherits what was cached.
@functools.cache
def _name_process(worker: str, pid: int, parent: int) -> str:
    here, start, parent_start = place(), _read_start(pid), _read_start(parent)
    if here is None or start is None or parent_start is None:
        return f"{worker}/{pid}"
    return f"{worker}/{here}/{parent}.{parent_start}/{start}/{pid}"


def place() -> str | None:
    """Return the mark that owners in this boot and these namespaces share; None where death can't be proved."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip().replace("-", "")
        namespaces = [_read_namespace("pid"), _read_namespace("time")]
        # Where /proc is that of another namespace, the ids in it are not ours.
        is_ours = (_PROC / "self").readlink() == pathlib.Path(str(os.getpid()))
    except OSError:
        return None
    return "-".join([boot, *namespaces]) if is_ours and boot else None


def _read_namespace(name: str) -> str:
    """Read which namespace this process is in; 0 when the kernel has no namespaces of this type."""
    try:
        return str((_PROC / "self/ns" / name).stat().st_ino)
    except FileNotFoundError:
        return "0"


def is_dead(owner: str) -> bool:
    """Return whether it is proved that an owner is dead, and its parent, whose keeper would look after its job else."""
    parts = owner.split("/")
    if len(parts) != 5 or parts[1] != place():
        return False
    parent, _, parent_start = parts[2].partition(".")
    return _has_ended(parts[4], parts[3]) and _has_ended(parent, parent_start)


def _has_ended(pid: str, start: str) -> bool:
    """Return whether there is no such process any more; False in doubt."""
    if not (pid.isdecimal() and start.isdecimal()):
        return False
    try:
        # By a signal, because /proc may hide other users' processes (hidepid).
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    fields = _read_stat(int(pid))
    if fields is None:
        return False
    if fields[_START] != start:
        return True
    # A zombie does nothing any more, unless only its first thread has ended.
    return fields[_STATE] in {"Z", "X"} and int(fields[_THREADS]) <= 1


def _read_start(pid: int) -> str | None:
    """Read when a process started, in the kernel's ticks since its boot."""
    fields = _read_stat(pid)
    return None if fields is None else fields[_START]


def _read_stat(pid: int) -> list[str] | None:
    try:
        # The command's name may itself hold brackets and spaces.
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
