"""Has one page read by a process of its own, which can neither hang, nor fill the memory, nor see our secrets."""

import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from shared import errors

ROOT = Path(__file__).resolve().parents[3]
MEBIBYTE = 1024 * 1024
# How the process says so itself; it may also be killed by a signal.
TOO_MUCH = 4


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What reading one page may take."""

    memory_bytes: int = 1024 * MEBIBYTE
    cpu_seconds: int = 20
    output_bytes: int = 256 * MEBIBYTE


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a page holds."""

    names: list[str]
    notes: list[str]
    next: str | None
    """The address of the next page."""
    rows: Iterator[list[str | None]]


@contextlib.contextmanager
def reading(order: dict[str, Any], *, scratch: Path, bounds: Bounds) -> Iterator[Reading]:
    """Read a page; BadDataError when it lacks what it is asked for, LimitExceededError when it takes too much."""
    target = scratch / "rows"
    with target.open("w+", encoding="utf-8") as file:
        _run(order, file=file, bounds=bounds, folder=scratch)
        file.seek(0)
        head = json.loads(file.readline())
        if "error" in head:
            raise errors.BadDataError(head["error"])
        yield Reading(**head, rows=map(json.loads, file))


def _run(order: dict[str, Any], *, file: TextIO, bounds: Bounds, folder: Path) -> None:
    whole = json.dumps({**order, "bounds": dataclasses.asdict(bounds)})
    try:
        done = subprocess.run(
            [sys.executable, "-s", "-P", "-m", "workers.ingestion.sources.sandboxed_parser"],
            input=whole,
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
        raise _too_much(bounds) from error
    if done.returncode == TOO_MUCH or done.returncode < 0:
        raise _too_much(bounds)
    done.check_returncode()


def _too_much(bounds: Bounds) -> errors.LimitExceededError:
    return errors.LimitExceededError(
        f"The page takes more than {bounds.cpu_seconds} s, {bounds.memory_bytes // MEBIBYTE:,} MiB of memory or "
        f"{bounds.output_bytes // MEBIBYTE:,} MiB of rows to read."
    )
