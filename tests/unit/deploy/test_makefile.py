"""The Makefile: what each command would install, in either order and twice."""

import functools
import itertools
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from _pytest.mark import expression

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


@pytest.mark.parametrize("target", ["test", "test-quick", "test-judges", "chaos-short", "check", "setup"])
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


def selected_by() -> dict[str, expression.Expression]:
    """Return which marks each command runs, of those that run the whole folder of tests."""
    recipes = re.findall(r"^([a-z-]+):.*\n\t(.*)$", (_CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    marks = {target: re.search(r'-m "([^"]+)" \$\(TESTS\)$', recipe) for target, recipe in recipes}
    return {target: expression.Expression.compile(found.group(1)) for target, found in marks.items() if found}


def test_every_test_is_run_by_one_command_whatever_its_marks_and_ci_calls_it(pytestconfig: pytest.Config) -> None:
    commands = selected_by()
    assert set(commands) == {"test", "test-judges", "chaos-short"}
    ours = {line.partition(":")[0] for line in pytestconfig.getini("markers")} & {"servers", "judge", "chaos", "slow"}
    assert len(ours) == 4
    for marks in itertools.chain.from_iterable(itertools.combinations(ours, count) for count in range(5)):
        has = functools.partial(lambda marks, mark, **_: mark in marks, marks)
        running = [target for target, chosen in commands.items() if chosen.evaluate(has)]
        assert len(running) == 1, (marks, running)
    called = re.findall(r"^make ([a-z-]+)$", (_CHECKOUT / ".ci" / "run").read_text(), re.MULTILINE)
    assert set(commands) < set(called)
    assert "export MILLRACE_TEST_REQUIRE_SERVERS=1" in (_CHECKOUT / ".ci" / "run").read_text()
