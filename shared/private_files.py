"""Keeps what our processes write from other users of the machine."""

import contextlib
import os
import pathlib

from shared import ids


def restrict(home: pathlib.Path) -> None:
    """Let this process, and those that it starts, make files for their own user alone; closes a home that was open."""
    os.umask(0o077)
    with contextlib.suppress(OSError):
        if home.stat().st_uid == os.geteuid():
            home.chmod(0o700)


def create_once(path: pathlib.Path, content: bytes) -> None:
    """Write a file for our own user alone, durably, unless another process was first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{ids.new_ulid()}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(scratch)
    scratch.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
