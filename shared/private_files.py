"""Keeps what our processes write from other users of the machine."""

import contextlib
import os
import pathlib
import secrets


def restrict(home: pathlib.Path) -> None:
    """Let this process, and those that it starts, make files for their own user alone; closes a home that was open."""
    os.umask(0o077)
    with contextlib.suppress(OSError):
        if home.stat().st_uid == os.geteuid():
            home.chmod(0o700)


def create(path: pathlib.Path, content: bytes) -> None:
    """Write a file that nobody else may read, durably, unless another process was first."""
    scratch = _stage(path, content)
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(scratch)
    scratch.unlink()
    _sync_folder(path.parent)


def replace(path: pathlib.Path, content: bytes) -> None:
    """Write a file that nobody else may read, durably, whether or not it is there."""
    _stage(path, content).replace(path)
    _sync_folder(path.parent)


def _stage(path: pathlib.Path, content: bytes) -> pathlib.Path:
    """Write what is to become a file beside it, so that nobody ever sees a part of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return scratch


def _sync_folder(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
