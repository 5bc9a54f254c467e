"""Small disks of our own that tests may fill, and databases that they may close for writing."""

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa


@contextlib.contextmanager
def small(folder: pathlib.Path, *, kibibytes: int) -> Iterator[pathlib.Path]:
    """Mount a file system of this size in memory, at a new folder, and unmount it at the end; skips where it can't."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk to fill")
    folder.mkdir()
    options = f"size={kibibytes}k,mode=700"
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"a small disk can't be mounted here: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily, because what was opened on it may still be open.
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def filled(folder: pathlib.Path) -> Iterator[None]:
    """Fill the disk that a folder is on, and make room again."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def read_only(*engines: sa.Engine) -> Iterator[None]:
    """Let the databases of engines refuse writes, as they do themselves when they are read-only."""

    def close(connection: Any, _record: Any, _proxy: Any) -> None:
        if hasattr(connection, "pgconn"):
            connection.execute("SET default_transaction_read_only = on")
            # Where this began a transaction, the setting would only be for the next one.
            connection.execute("SET TRANSACTION READ ONLY")
        else:
            connection.execute("PRAGMA query_only = ON")

    for engine in engines:
        sa.event.listen(engine, "checkout", close)
    try:
        yield
    finally:
        for engine in engines:
            sa.event.remove(engine, "checkout", close)
            engine.dispose()
