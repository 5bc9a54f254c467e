"""Runs a process so that it cannot outlive the one that wanted it.

This file is also run as a script: the guard. It starts the command in a process group of its own and holds the read
end of a pipe. When the other end closes, because the owner closed it or died however harshly, the guard ends the whole
group and, if the owner died, removes its folder. Standard library only, so that a guard starts in a few hundredths of a
second; a pipe rather than PR_SET_PDEATHSIG, because that follows a thread and exists on Linux alone.
"""

import contextlib
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

GRACE_SECONDS = 5.0
KEEP = b"keep"


class Guarded:
    """A process that is sure to end with this one."""

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        log: pathlib.Path,
        env: Mapping[str, str] | None = None,
        cwd: pathlib.Path | None = None,
        user: str = "",
        folder: pathlib.Path | None = None,
    ) -> None:
        """Start the command, as another user when one is named; its folder is removed if we die before `close`."""
        guard = [sys.executable, "-E", "-S", __file__, user, str(folder or ""), *map(str, command)]
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                guard,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        answer = self._guard.stdout.readline().decode()
        if not answer.startswith("pid "):
            self.close()
            raise OSError(f"{command[0]} could not be started: {answer.strip() or 'no answer'}; see {log}")
        self.pid = int(answer.split()[1])

    def alive(self) -> bool:
        """Tell whether the process itself still runs; its children may outlive it until `close`."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def signal(self, number: int) -> None:
        """Send a signal to the process alone, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process and everything in its group, as `kill -9` does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(timeout_seconds=GRACE_SECONDS)

    def wait(self, *, timeout_seconds: float) -> bool:
        """Wait for the process to end and tell whether it did."""
        until = time.monotonic() + timeout_seconds
        while self.alive():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def end(self) -> None:
        """Kill the group and end the guard."""
        self.kill()
        self.close()

    def close(self) -> None:
        """End the group and the guard; the folder stays."""
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.write(KEEP)
            self._guard.stdin.close()
        try:
            self._guard.wait(timeout=GRACE_SECONDS * 3)
        except subprocess.TimeoutExpired:
            self.kill()
            self._guard.kill()
            self._guard.wait()
        self._guard.stdout.close()


def guard(user: str, folder: str, command: Sequence[str]) -> None:
    """Start the command, wait until the owner is gone, end the command's group."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
            user=user or None,
            group=user_group(user) if user else None,
            extra_groups=[] if user else None,
        )
    except (OSError, LookupError) as error:
        sys.stdout.write(f"error {error}\n")
        return
    sys.stdout.write(f"pid {child.pid}\n")
    sys.stdout.flush()
    while sys.stdin.fileno() not in select.select([sys.stdin.fileno(), woken], [], [])[0]:
        os.read(woken, 512)
        child.poll()
    owner_died = os.read(sys.stdin.fileno(), len(KEEP)) != KEEP
    end_group(child)
    if owner_died and folder:
        shutil.rmtree(folder, ignore_errors=True)


def user_group(user: str) -> int:
    """Return a user's own group."""
    import pwd  # The module is not there on Windows, where nobody asks for another user.

    return pwd.getpwnam(user).pw_gid


def end_group(child: "subprocess.Popen[bytes]") -> None:
    """Ask the process to end, then kill whatever its group still holds."""
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    guard(sys.argv[1], sys.argv[2], sys.argv[3:])
