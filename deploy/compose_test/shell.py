"""Run commands, and say what is being done."""

import os
import pathlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_SHOWN_LINES = 40


class CommandError(Exception):
    """A command failed; the message holds the command and the end of its output."""


def run(argv: Sequence[str], *, environment: Mapping[str, str] | None = None, seconds: float = 900) -> str:
    """Run a command in the checkout and return its output; raise CommandError when it fails."""
    done = attempt(argv, environment=environment, seconds=seconds)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-_SHOWN_LINES:])
        raise CommandError(f"{' '.join(argv)} ended with {done.returncode}:\n{tail}")
    return done.stdout


def attempt(
    argv: Sequence[str], *, environment: Mapping[str, str] | None = None, seconds: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout and return what it did, whether it failed or not."""
    return subprocess.run(
        list(argv),
        check=False,
        cwd=CHECKOUT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=seconds,
    )


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what is being done, and how many seconds it took."""
    print(f"- {name} …", flush=True)
    started = time.monotonic()
    yield
    print(f"  done in {time.monotonic() - started:.1f} s", flush=True)
