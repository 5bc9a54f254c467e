"""The environments in which what others wrote judges ours; the first test that needs one makes it."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
UNREACHED = (
    "No matching distribution found",
    "Max retries exceeded",
    "Failed to establish a new connection",
    "timed out",
)
"""What pip says where it reaches no registry."""


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep other processes that run tests from making the same environment meanwhile."""
    name = hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]
    with (pathlib.Path(tempfile.gettempdir()) / f"millrace-judges-{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_environment(name: str) -> pathlib.Path:
    """Make an environment of judges, and return its Python; skip the test, and say so, where no registry answers."""
    plain = {each: value for each, value in os.environ.items() if each not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    with alone():
        made = subprocess.run(
            ["make", f"{name}-env"], cwd=ROOT, env=plain, capture_output=True, text=True, check=False, timeout=900
        )
    if made.returncode and any(words in made.stderr for words in UNREACHED):
        pytest.skip(f"NOT JUDGED: no registry answers, so `make {name}-env` has failed: {made.stderr[-500:]}")
    assert made.returncode == 0, made.stderr[-3000:]
    return ROOT / f".venv-{name}" / "bin" / "python"
