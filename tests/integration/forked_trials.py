"""Runs the trial loading of artifacts in a fork of this process, which has its libraries, as tests start our programs.

The command itself is what tests/security/test_crashing_artifacts.py runs, and the workers of tests/system.
"""

import io
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

from shared.ml import trial_loading


def run(command: Sequence[str], *, input: str, **options: Any) -> "subprocess.CompletedProcess[str]":  # noqa: A002
    """Take the place of `subprocess.run` in `shared.ml.trial_loading`."""
    assert list(command) == [sys.executable, "-s", "-P", "-m", trial_loading.__name__]
    assert options["capture_output"]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        with warnings.catch_warnings():
            # Python warns of forks where other threads run; the child needs none of what they may hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            _load_and_exit(input, output.fileno())
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), stdout=output.read(), stderr="")


def _load_and_exit(listed: str, output: int) -> None:
    status = 70
    try:
        sys.stdin = io.StringIO(listed)
        sys.stdout = open(output, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the process ends with it.
        status = trial_loading.main()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - whatever it is, the tests that this process forked from must not go on here.
        traceback.print_exc()
    finally:
        os._exit(status)
