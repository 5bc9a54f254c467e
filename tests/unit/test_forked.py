"""Programs that the fork server starts: they run as from their command, and end with whoever wanted them."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests import forked, servers_guard

pytestmark = pytest.mark.slow

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
KEYS = [sys.executable, "-m", "api", "keys"]
OWNER = """
import os, pathlib, sys, time
from tests import forked
home = pathlib.Path(sys.argv[1])
env = {**os.environ, "MILLRACE_HOME": str(home)}
child = forked.start([sys.executable, "-m", "sweeper"], log=home / "log", env=env, cwd=pathlib.Path.cwd())
assert isinstance(child, forked.Forked)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def env(tmp_path: pathlib.Path) -> dict[str, str]:
    """Return the environment of programs that have a home of their own."""
    return {**os.environ, "MILLRACE_HOME": str(tmp_path)}


def gone(pid: int, *, within_seconds: float = 30.0) -> bool:
    """Tell whether a process has ended, within some seconds."""
    until = time.monotonic() + within_seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def run(command: list[str], env: dict[str, str]) -> tuple[int, str, str]:
    """Run a command by the fork server."""
    assert forked.can_start(command)
    return forked.run(command, env=env, cwd=CHECKOUT, timeout_seconds=60)


def test_a_forked_command_answers_as_its_command_line_does(env: dict[str, str]) -> None:
    command = [*KEYS, "create", "--scope", "everything"]
    real = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)
    assert real.returncode == 2
    assert run(command, env) == (real.returncode, real.stdout, real.stderr)


def test_a_forked_command_has_the_settings_of_its_own_environment(env: dict[str, str]) -> None:
    assert run([sys.executable, "-m", "migrations", "upgrade", "api"], env)[0] == 0
    assert (pathlib.Path(env["MILLRACE_HOME"]) / "databases" / "api.sqlite3").exists()
    status, key, _ = run([*KEYS, "create", "--name", "x"], env)
    assert (status, key[:3]) == (0, "mr_")
    assert key.split("_")[1] in run([*KEYS, "list"], env)[1]
    status, _, complaints = run([*KEYS, "list"], {**env, "MILLRACE_HOME": f"{env['MILLRACE_HOME']}/elsewhere"})
    assert status == 1
    assert "elsewhere" in complaints


def test_a_forked_program_is_killed_as_any_process_and_closing_ends_it(
    env: dict[str, str], tmp_path: pathlib.Path
) -> None:
    command = [sys.executable, "-m", "sweeper"]
    first, second = (forked.start(command, log=tmp_path / "log", env=env, cwd=CHECKOUT) for _ in range(2))
    assert os.getpgid(first.pid) == first.pid
    first.signal(signal.SIGKILL)
    assert first.wait(timeout_seconds=20)
    assert second.alive()
    second.close()
    assert gone(second.pid)
    first.close()


def test_a_forked_program_ends_with_an_owner_that_is_killed(tmp_path: pathlib.Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], cwd=CHECKOUT, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        os.kill(child, 0)
        owner.kill()
    assert gone(child)


def test_without_a_fork_server_or_of_another_module_the_command_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    assert not forked.can_start([sys.executable, "-m", "celery"])
    monkeypatch.delenv(forked.ADDRESS_VARIABLE)
    command = [*KEYS, "list"]
    assert not forked.can_start(command)
    program = forked.start(command, log=tmp_path / "log", env=dict(os.environ), cwd=CHECKOUT)
    assert type(program) is servers_guard.Guarded
    program.end()
