"""python -m tests.fork_server <socket> <owner>: starts our programs by forking, so that their imports are paid once.

Each connection brings one request, a line of JSON: what follows `python -m` on a command line, the environment, the
folder and the files to write to. The answer is a line `pid <number>` and, at the program's end, a line
`status <number>`. The program is a process of its own, in a process group of its own, and ends when the connection
closes, however harshly its client died. The server ends soon after its owner, a process of this machine. What programs
share is loaded beforehand; their own modules, which register the bodies of jobs, are loaded in each.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

PROGRAMS = ("workers.app", "api.app", "api.server", "sweeper.sweeper", "migrations.command_line", "tests.system.acts")
LIBRARIES = ("shared", "httpx", "onnx")
"""What a worker's own jobs load; it takes seconds, so it waits for the first program that needs it."""
LEFT_OUT = ("shared.queues.flower", "shared.queues.flower_parts", "shared.queues.embedded")
GRACE_SECONDS = 5.0
LOOK_SECONDS = 1.0
"""How often the server looks whether its owner lives."""

Request = Mapping[str, Any]


def next_request(path: str, *, owner: int) -> Request:
    """Serve until the owner is gone; returns, in a forked process, the request that this process shall do."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        listener.settimeout(LOOK_SECONDS)
        load(PROGRAMS)
        while is_alive(owner):
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                line = connection.makefile().readline()
                # A client may only have asked whether anybody listens.
                if line:
                    request: Request = json.loads(line)
                    load(LIBRARIES if request["libraries"] else ())
                    if os.fork() == 0:
                        listener.close()
                        guard(connection)
                        return request
    sys.exit()


def load(names: tuple[str, ...]) -> None:
    """Import modules, and of `shared` every module below."""
    for name in names:
        package = importlib.import_module(name)
        if name == "shared":
            for module in pkgutil.walk_packages(package.__path__, "shared."):
                if module.name not in LEFT_OUT:
                    importlib.import_module(module.name)
    # What is there before a fork is nothing that the collector needs to write to.
    gc.freeze()


def guard(connection: socket.socket) -> None:
    """Fork and return in the child; the parent ends with it, or ends it when the connection closes."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(woken)
        os.close(wake)
        connection.sendall(f"pid {os.getpid()}\n".encode())
        return
    watched: list[socket.socket | int] = [connection, woken]
    while connection not in select.select(watched, [], [])[0]:
        os.read(woken, 512)
        for status in _ended(child):
            with contextlib.suppress(OSError):
                connection.sendall(f"status {status}\n".encode())
    end_group(child)
    os._exit(0)


def _ended(child: int) -> Iterator[int]:
    """Reap the child if it has ended, and yield its status once."""
    with contextlib.suppress(ChildProcessError):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            yield os.waitstatus_to_exitcode(status)


def end_group(leader: int) -> None:
    """Ask a process to end, then kill whatever its group still holds."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(leader, signal.SIGTERM)
    until = time.monotonic() + GRACE_SECONDS
    while is_alive(leader) and time.monotonic() < until:
        list(_ended(leader))
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(leader, 0)


def become(request: Request) -> None:
    """Run the request's module in this process as `python -m` does."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    writing = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    files = [(os.devnull, os.O_RDONLY), (request["stdout"], writing), (request["stderr"], writing)]
    for number, (path, flags) in enumerate(files):
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = list(request["arguments"])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    become(next_request(sys.argv[1], owner=int(sys.argv[2])))
