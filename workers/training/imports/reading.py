"""Has a foreign model read by a process of its own, which may crash or hang without harm.

docs/decisions/imports.md, "A foreign model is read in a process of its own".
"""

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared import errors
from shared.training import imports
from workers import memory
from workers.training.imports import exit_codes
from workers.training.imports.candidate import Reading

_ROOT = Path(__file__).resolve().parents[3]


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The limits on the process that reads one model, beside the worker's limit of memory."""

    cpu_seconds: int = 300
    output_bytes: int = 1 << 31


def read(
    path: Path,
    command: imports.ImportModel,
    *,
    like: Mapping[str, Any] | None,
    artifact: Path,
    scratch: Path,
    bounds: Bounds = Bounds(),
) -> Reading:
    """Read a file as a command asks, and write its artifact.

    `like` is the signature of another model, which tells what the command doesn't. BadModelError for what isn't
    imported, and why; LimitExceededError for what takes too much time or memory to read.
    """
    answer = scratch / "reading.json"
    instructions = {
        "command": command.model_dump(mode="json"),
        "like": like,
        "path": str(path),
        "artifact": str(artifact),
        "scratch": str(scratch),
        "answer": str(answer),
        "bounds": dataclasses.asdict(bounds),
    }
    try:
        process = subprocess.run(
            [sys.executable, "-s", "-P", "-m", "workers.training.imports.reader"],
            input=json.dumps(instructions),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            cwd=scratch,
            env={
                "PYTHONPATH": str(_ROOT),
                "PYTHONUTF8": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
                "OMP_NUM_THREADS": "1",
            },
            timeout=2 * bounds.cpu_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_long(bounds) from error
    _require_end(process.returncode, bounds)
    document = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in document:
        raise errors.BadModelError(document["error"]["message"], pointer=document["error"]["pointer"])
    return Reading.model_validate(document["reading"])


def _require_end(code: int, bounds: Bounds) -> None:
    """Raise what tells of a process that ended otherwise than by its own will."""
    if code == 0:
        return
    if code == exit_codes.OUT_OF_MEMORY:
        limit = memory.current_bytes()
        most = "there is" if limit is None else memory.describe(limit)
        raise errors.LimitExceededError(f"The model takes more memory to read and to try than {most}.")
    if code == -signal.SIGXCPU:
        raise _too_long(bounds)
    if code < 0:
        raise errors.BadModelError(
            f"the model can't be read: its reader crashed (signal {-code}), so the file is damaged or forged"
        )
    raise errors.BadModelError("the model can't be read: its reader failed, so the file is damaged or forged")


def _too_long(bounds: Bounds) -> errors.LimitExceededError:
    return errors.LimitExceededError(f"The model takes more than {bounds.cpu_seconds} s to read and to try.")
