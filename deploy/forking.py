"""Forks this process such that the fork is a process of its own: session, signals, output and random numbers."""

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from typing import Any

import setproctitle

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
"""What a supervisor handles, and its forks don't."""


def fork(function: Callable[..., object], *arguments: Any, name: str) -> ForkProcess:
    """Run a function in a fork, whose exit status is that of the function's SystemExit, else 0, or 1 after an error.

    A signal that comes meanwhile waits until the fork has handlers of its own.
    """
    process = multiprocessing.get_context("fork").Process(target=_run, args=(function, *arguments), name=name)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return process


def _run(function: Callable[..., object], *arguments: Any) -> None:
    set_title(f"python -m deploy.up: {multiprocessing.current_process().name}")
    reset_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    # It is off while the supervisor imports.
    gc.enable()
    if "numpy" in sys.modules:
        # All forks would draw the same numbers; Python's own generator seeds itself anew.
        sys.modules["numpy"].random.seed()
    function(*arguments)


def reset_signals() -> None:
    """Handle signals as a process that was just started does."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def set_title(title: str) -> None:
    """Set what `ps` shows of this process."""
    # macOS has a library do it that doesn't stand being used in a fork.
    if sys.platform != "darwin":
        setproctitle.setproctitle(title)


def redirect(output: int) -> None:
    """Write to a descriptor from now on, errors as well, and read from nothing."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
