"""The memory that a pool process may take for a job: a limit that the kernel keeps, and the error of who meets it.

The limit is one of data (RLIMIT_DATA), which Linux counts as private memory that may be written; macOS doesn't keep it.
docs/decisions/workers.md, "A process has a limit of memory, and the job that meets it fails".
"""

import contextlib
import functools
import gc
import os
import pathlib
import resource
import threading
import traceback
from collections.abc import Iterator

from shared import errors, settings

_SHARE = 0.8
"""What the processes of a pool may take together, of what there is; the rest is for their parent and the system."""
_LEAST_BYTES = 1024**3
"""The least limit by default: half of it is taken as soon as the libraries are imported."""
_NEARLY = 0.9
"""The part of its limit from which on a process that dies is taken to have met it."""
_CGROUPS = pathlib.Path("/sys/fs/cgroup")
_NO_THREAD = "can't start new thread"
_FOREIGN_ERRORS = ("OutOfMemoryException",)
"""Errors of libraries that have a class of their own for a lack of memory, such as duckdb."""


def prepare() -> None:
    """Let Arrow's allocator take memory as it is used: by default it has 1 GiB at once, which would count."""
    os.environ.setdefault("MIMALLOC_ARENA_EAGER_COMMIT", "0")


@contextlib.contextmanager
def limited(role: str, *, config: settings.Settings) -> Iterator[None]:
    """Limit the memory of this process while the block does a job, and not while what follows writes its end.

    Where threads do jobs side by side, the limit of the last that began holds for all, and none once all have ended.
    """
    _blocks.enter(limit_bytes(role, config=config))
    try:
        yield
    finally:
        _blocks.leave()


class _Blocks:
    """The blocks of this process that are limited at this moment: the last that ends puts back what was before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._before = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    def enter(self, limit: int | None) -> None:
        with self._lock:
            if not self._count:
                self._before = resource.getrlimit(resource.RLIMIT_DATA)
            self._count += 1
            hard = self._before[1]
            resource.setrlimit(resource.RLIMIT_DATA, self._before if limit is None else (_least(limit, hard), hard))

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                resource.setrlimit(resource.RLIMIT_DATA, self._before)


_blocks = _Blocks()


def limit_bytes(role: str, *, config: settings.Settings) -> int | None:
    """Compute how much memory a process of a role may take, in bytes; None when there is no limit."""
    limit = config.worker_memories.get(role, config.worker_memory)
    if limit is None:
        return max(_LEAST_BYTES, int(_SHARE * _available_bytes_once() / config.worker_concurrency))
    return limit or None


def current_bytes() -> int | None:
    """Return the limit of this process at this moment, in bytes; None when there is none."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def available_bytes() -> int:
    """Compute how much memory this host, or the container that this process runs in, has, in bytes."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([host, *_read_limits(_CGROUPS)])


@functools.cache
def _available_bytes_once() -> int:
    # Reading files of the system for each job would be a tenth of what the smallest ones cost.
    return available_bytes()


def _read_limits(root: pathlib.Path) -> list[int]:
    """Read the limits of the control groups, of either version, that a container sees as its own."""
    texts = []
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError):
            texts.append((root / name).read_text(encoding="ascii").strip())
    return [int(text) for text in texts if text.isdecimal()]


def explain(error: BaseException, *, role: str, config: settings.Settings) -> errors.LimitExceededError | None:
    """Describe an error that a lack of memory has caused, with the limit and its setting; None for any other error."""
    cause = next((each for each in _chain(error) if _is_lack(each)), None)
    if cause is None:
        return None
    limit = limit_bytes(role, config=config)
    reason = f" ({cause})" if f"{cause}" else ""
    if limit is None:
        return errors.LimitExceededError(f"The job needs more memory than there is{reason}.")
    return _build_error(limit, reason, role=role, config=config)


def explain_death(last_bytes: int, *, role: str, config: settings.Settings) -> errors.LimitExceededError | None:
    """Describe the death of a process that was last seen with so much memory, if that was nearly all it might take.

    Libraries in C may crash instead of raising an error when they are given no memory.
    """
    limit = limit_bytes(role, config=config)
    if limit is None or last_bytes < _NEARLY * limit:
        return None
    return _build_error(limit, f" (its process died, last seen with {describe(last_bytes)})", role=role, config=config)


def read_data_bytes(pid: int) -> int:
    """Read how much memory of the kind that is limited a process has, in bytes; 0 where that can't be known."""
    with contextlib.suppress(OSError, ValueError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def _build_error(limit: int, reason: str, *, role: str, config: settings.Settings) -> errors.LimitExceededError:
    name = f"MILLRACE_WORKER_MEMORY_{role.upper()}"
    is_set = role in config.worker_memories or config.worker_memory is not None
    share = "" if is_set else ", its share of what its container or host has"
    return errors.LimitExceededError(
        f"The job needs more memory than a process of the role {role} may take, which is {describe(limit)}{share}"
        f"{reason}. {name}, or MILLRACE_WORKER_MEMORY for all roles, sets this limit."
    )


def release(error: BaseException) -> None:
    """Let go of what the frames hold in which an error was raised."""
    for each in _chain(error):
        traceback.clear_frames(each.__traceback__)
    gc.collect()


def describe(size: int) -> str:
    """Write a size in bytes for people, in units of 1024."""
    for unit, scale in (("GiB", 1024**3), ("MiB", 1024**2)):
        if size >= scale:
            return f"{size / scale:.4g} {unit}"
    return f"{size} bytes"


def _least(limit: int, most: int) -> int:
    return limit if most == resource.RLIM_INFINITY else min(limit, most)


def _is_lack(error: BaseException) -> bool:
    is_thread = isinstance(error, RuntimeError) and f"{error}" == _NO_THREAD
    return is_thread or isinstance(error, MemoryError) or type(error).__name__ in _FOREIGN_ERRORS


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised because of."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
