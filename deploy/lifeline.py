"""Runs one command for as long as the supervisor lives: python -m deploy.lifeline DESCRIPTOR GRACE_SECONDS COMMAND.

The descriptor is the reading end of a pipe whose other end only the supervisor holds. However the supervisor ends,
SIGKILL included, the kernel closes that end, and what we read is the end of the file. It stands between honcho's
process and the command, in the command's session, so that nothing that ends the supervisor's process group ends it.
"""

import os
import select
import shlex
import signal
import subprocess
import sys
import threading
import time


def wrap(command: str, *, supervisor: int, grace_seconds: float) -> str:
    """Give the shell's line that runs a command on the lifeline; $PYTHON names the interpreter."""
    # Without site's packages, which we don't need, the interpreter starts in a fraction of the time.
    return f"exec $PYTHON -S -m deploy.lifeline {supervisor} {grace_seconds:g} {shlex.quote(command)}"


def is_cut(supervisor: int) -> bool:
    """Tell whether the supervisor has ended."""
    return bool(select.select([supervisor], [], [], 0)[0])


class Command:
    """A shell's command that is told to stop when we are."""

    def __init__(self, line: str) -> None:
        """Start it."""
        self._child: subprocess.Popen[bytes] | None = None
        self._is_stopping = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        self._child = subprocess.Popen(line, shell=True)  # noqa: S602 - a line of our Procfile.
        # A signal may have come while there was no process yet to pass it on to.
        if self._is_stopping:
            self._child.terminate()

    def stop(self) -> None:
        """Ask it to end: it alone, so that a worker decides what becomes of its pool."""
        self._is_stopping = True
        if self._child is not None:
            self._child.terminate()

    def wait(self) -> int:
        """Wait for its end and give its exit status as a shell would, 128 + n after signal n."""
        if self._child is None:
            return 0
        code = self._child.wait()
        return code if code >= 0 else 128 - code


def _end_with(supervisor: int, command: Command, *, grace_seconds: float) -> None:
    os.read(supervisor, 1)
    command.stop()
    time.sleep(grace_seconds)
    _kill_group()


def _kill_group() -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main(given: list[str]) -> int:
    """Run the command until it ends, or until the supervisor has ended."""
    supervisor, grace_seconds, line = int(given[0]), float(given[1]), given[2]
    command = Command(line)
    threading.Thread(
        target=_end_with, args=(supervisor, command), kwargs={"grace_seconds": grace_seconds}, daemon=True
    ).start()
    code = command.wait()
    if is_cut(supervisor):
        # Nobody is left to look after what the command has left behind.
        _kill_group()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
