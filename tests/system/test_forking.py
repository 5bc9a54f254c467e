"""A pool's process may be replaced at any moment; what its keeper does then must not be handed down half done."""

import pathlib
import subprocess
import sys

import pytest

from tests import system_under_test


@pytest.mark.parametrize(("way", "answer"), [("quiet", "written"), ("bare", "refused: database is locked")])
def test_a_process_forked_in_the_middle_of_a_keepers_write_can_write(
    tmp_path: pathlib.Path, way: str, answer: str
) -> None:
    command = [sys.executable, "-m", "tests.system.forking", way, str(tmp_path)]
    result = subprocess.run(
        command, cwd=system_under_test.CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout == answer, result.stderr
