"""What starts on a home without room says so in one sentence, and ends with status 1."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests import disks
from tests.system_under_test import CHECKOUT

pytestmark = pytest.mark.slow


def run(home: pathlib.Path, *arguments: str) -> tuple[int, str]:
    """Run a program; gives its exit status and what it said."""
    names = ("DATABASE_URL", "BROKER_URL", "REDIS_URL", "STORAGE_URL")
    env = {name: value for name, value in os.environ.items() if name.removeprefix("MILLRACE_") not in names}
    env |= {
        "MILLRACE_HOME": str(home),
        "MILLRACE_API_PORT": "0",
        "MILLRACE_FLOWER_PORT": "0",
        "MILLRACE_INFERENCE_PORT": "0",
    }
    ended = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=CHECKOUT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, ended.stdout


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["deploy.up"], "The disk has no room left."),
        (["migrations", "upgrade", "all"], "ingestion: The database has no room left."),
        (
            ["api", "keys", "create", "--name", "me"],
            (
                "The API has no database here yet. `make up` or `python -m migrations upgrade all` makes it; "
                "MILLRACE_HOME or MILLRACE_DATABASE_URL name another."
            ),
        ),
    ],
    ids=lambda value: value[0],
)
def test_a_full_home_is_told_in_one_sentence(command: list[str], words: str, tmp_path: pathlib.Path) -> None:
    with disks.small(tmp_path / "disk", kibibytes=256) as disk, disks.filled(disk):
        home = disk / "home"
        assert run(home, *command) == (1, f"{words} MILLRACE_HOME is {home}.\n")


def test_a_home_that_becomes_full_while_it_is_prepared_is_told_too(tmp_path: pathlib.Path) -> None:
    with disks.small(tmp_path / "disk", kibibytes=192) as disk:
        status, said = run(disk / "home", "deploy.up", "--log", "json")
        assert status == 1
        assert ": The database has no room left. MILLRACE_HOME is" in said
        assert "the databases can't be used; the lines above say why" in said
        assert "Traceback" not in said
