"""Ends all processes of `make up` when their supervisor has ended, SIGKILL included.

The supervisor holds the writing end of a pipe. However it ends, the kernel closes that end, and a small process that
reads the other one sees the end of the file. docs/decisions/deployment.md, "`make up` imports once and forks".
"""

import contextlib
import os
import signal
import time

_LOOK_SECONDS = 0.1


class Lifeline:
    """The pipe between the supervisor, its processes and the one that watches."""

    def __init__(self) -> None:
        """Open the pipe; the supervisor keeps both ends, so that a new watcher can take the place of a dead one."""
        self._reading, self._writing = os.pipe()

    def join(self) -> None:
        """Put this process, just forked by the supervisor, into a session of its own, and report it to the watcher.

        Only then may it let go of the pipe: a supervisor that is killed right after the fork leaves nobody unreported.
        """
        os.setsid()
        self.report(os.getpid())
        os.close(self._writing)
        os.close(self._reading)

    def report(self, group: int) -> None:
        """Tell the watcher of a process group."""
        os.write(self._writing, f"{group}\n".encode())

    def watch(self, *, grace_seconds: float) -> None:
        """Wait until the supervisor has ended, then end every group that was reported."""
        os.setsid()
        os.close(self._writing)
        groups: set[int] = set()
        unread = b""
        while chunk := os.read(self._reading, 4096):
            *lines, unread = (unread + chunk).split(b"\n")
            # A number that is free again may become that of a stranger.
            groups = {*filter(is_alive, groups), *map(int, lines)}
        end(set(filter(is_alive, groups)), grace_seconds=grace_seconds)

    def close(self) -> None:
        """Close the supervisor's ends, after which the watcher ends what is left, and itself."""
        os.close(self._writing)
        os.close(self._reading)


def end(groups: set[int], *, grace_seconds: float) -> None:
    """Ask the leaders of groups to end, and kill what they leave behind, or the whole group after the grace.

    The leader alone is asked, so that a worker decides what becomes of its pool.
    """
    for leader in groups:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
    limit = time.monotonic() + grace_seconds
    while groups and time.monotonic() < limit:
        for leader in groups:
            if not _has_process(leader):
                kill(leader)
        groups = {group for group in groups if is_alive(group)}
        time.sleep(_LOOK_SECONDS)
    for group in groups:
        kill(group)


def is_alive(group: int) -> bool:
    """Return whether a process group of ours has a process."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill(group: int) -> None:
    """Kill a whole process group, if there still is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _has_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
