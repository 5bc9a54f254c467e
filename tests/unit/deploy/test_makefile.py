"""The Makefile: what each command would install, in either order and twice."""

import os
import pathlib
import shutil
import subprocess

import pytest

_CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
_RUN, _DEV = "requirements/run.txt", "requirements/dev.txt"


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a checkout with nothing installed."""
    shutil.copy(_CHECKOUT / "Makefile", tmp_path)
    shutil.copytree(_CHECKOUT / "requirements", tmp_path / "requirements")
    (tmp_path / ".venv").mkdir()
    return tmp_path


def would_install(target: str, checkout: pathlib.Path) -> list[str]:
    """List the locks that a command would install, in turn, and leave the marks of having done so."""
    # Flags of a make that runs these tests must not reach this one.
    plain = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    argv = ["make", "--dry-run", target]
    done = subprocess.run(argv, cwd=checkout, env=plain, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        if line.startswith("touch "):
            (checkout / line.removeprefix("touch ")).touch()
    lines = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert all("--require-hashes" in line for line in lines)
    return [line.split()[-1] for line in lines]


@pytest.mark.parametrize("target", ["demo", "up"])
def test_running_installs_what_runs_and_nothing_else_once(target: str, checkout: pathlib.Path) -> None:
    assert would_install(target, checkout) == [_RUN]
    assert would_install(target, checkout) == []


@pytest.mark.parametrize("target", ["test", "check", "setup"])
def test_testing_installs_the_rest_on_top_once(target: str, checkout: pathlib.Path) -> None:
    assert would_install(target, checkout) == [_RUN, _DEV]
    assert would_install(target, checkout) == []
    assert would_install("demo", checkout) == []


def test_after_running_testing_adds_only_the_rest(checkout: pathlib.Path) -> None:
    would_install("demo", checkout)
    assert would_install("test", checkout) == [_DEV]
    assert would_install("demo", checkout) == []


def test_a_changed_lock_is_installed_again(checkout: pathlib.Path) -> None:
    would_install("test", checkout)
    later = (checkout / ".venv" / ".installed-dev").stat().st_mtime + 10
    os.utime(checkout / _DEV, (later, later))
    assert would_install("demo", checkout) == []
    assert would_install("test", checkout) == [_DEV]
