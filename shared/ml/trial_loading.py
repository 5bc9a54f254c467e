"""Loads foreign artifacts in a process of their own first, since a reader's native code may crash on a forged one.

A crash in the worker itself would count as the loss of a worker: the job would kill two more before it ends.
`python -m shared.ml.trial_loading` is that process; docs/decisions/models.md, "A foreign artifact is loaded elsewhere
first".
"""

import dataclasses
import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shared import errors
from shared.ml import artifacts

_ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A stored file that is to be loaded, with the hash that it must have and the name by which users know it."""

    path: str
    sha256: str
    label: str


def require_loadable(loaded: Sequence[Artifact]) -> None:
    """Load artifacts in another process; UnsafeArtifactError, which names the first that can't be loaded."""
    if not loaded:
        return
    process = subprocess.run(
        [sys.executable, "-s", "-P", "-m", "shared.ml.trial_loading"],
        input=json.dumps([dataclasses.asdict(artifact) for artifact in loaded]),
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={"PYTHONPATH": str(_ROOT), "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    if process.returncode == 0:
        return
    # It names each before it loads it.
    *_, last = [loaded[0].label, *process.stdout.splitlines()]
    if process.returncode < 0:
        raise errors.UnsafeArtifactError(
            f"{last} can't be loaded: its reader crashed (signal {-process.returncode}); the artifact is not one that "
            "Millrace wrote."
        )
    raise errors.UnsafeArtifactError(last)


def main() -> int:
    """Load what standard input lists, and name each before; 1 and the reason when one can't be loaded."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for fields in json.load(sys.stdin):
        artifact = Artifact(**fields)
        _say(artifact.label)
        try:
            artifacts.load(Path(artifact.path), sha256=artifact.sha256)
        except errors.UnsafeArtifactError as error:
            _say(f"{artifact.label}: {error.message}")
            return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(" ".join(line.splitlines()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
