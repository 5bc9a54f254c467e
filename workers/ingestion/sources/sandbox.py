"""Parses one page in a separate process, which can neither hang, nor exhaust the memory, nor see our secrets.

docs/decisions/ingestion.md, "Pages are parsed in a process of their own, with the kernel's limits"
"""

import contextlib
import dataclasses
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from shared import errors
from workers.ingestion.sources import exit_codes

ROOT = Path(__file__).resolve().parents[3]
MEBIBYTE = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The limits on the process that parses one page."""

    memory_bytes: int = 1024 * MEBIBYTE
    cpu_seconds: int = 20
    output_bytes: int = 256 * MEBIBYTE


@dataclasses.dataclass(frozen=True)
class ParsedPage:
    """The contents of a page."""

    names: list[str]
    notes: list[str]
    next_url: str | None
    """The URL of the next page."""
    rows: Iterator[list[str | None]]


@contextlib.contextmanager
def parse_page(instructions: dict[str, Any], *, scratch: Path, bounds: Bounds) -> Iterator[ParsedPage]:
    """Parse a page; BadDataError when it lacks what the instructions name, LimitExceededError beyond the bounds."""
    target = scratch / "rows"
    with target.open("w+", encoding="utf-8") as file:
        _run(instructions, file=file, bounds=bounds, folder=scratch)
        file.seek(0)
        head = json.loads(file.readline())
        if "error" in head:
            raise errors.BadDataError(head["error"])
        yield ParsedPage(**head, rows=map(json.loads, file))


def _run(instructions: dict[str, Any], *, file: TextIO, bounds: Bounds, folder: Path) -> None:
    document = json.dumps({**instructions, "bounds": dataclasses.asdict(bounds)})
    try:
        process = subprocess.run(
            [sys.executable, "-s", "-P", "-m", "workers.ingestion.sources.sandboxed_parser"],
            input=document,
            stdout=file,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=4 * bounds.cpu_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _limit_error(bounds) from error
    if process.returncode == exit_codes.LIMIT_EXCEEDED or process.returncode < 0:
        raise _limit_error(bounds)
    if process.returncode == exit_codes.DISK_FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    process.check_returncode()


def _limit_error(bounds: Bounds) -> errors.LimitExceededError:
    return errors.LimitExceededError(
        f"The page takes more than {bounds.cpu_seconds} s, {bounds.memory_bytes // MEBIBYTE:,} MiB of memory or "
        f"{bounds.output_bytes // MEBIBYTE:,} MiB of rows to read."
    )
