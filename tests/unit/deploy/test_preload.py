"""What is imported before the forks leaves nothing behind that does not survive one."""

import pathlib
import subprocess
import sys

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
_SCRIPT = """
import os, sys
from deploy import forking, preload, prepare, readiness
from shared import database, roles, settings

preload.prepare(settings.load())
preload.load(preload.SERVERS, pause=lambda: True)
for role in roles.ROLES:
    preload.load(preload.modules_of(role), pause=lambda: True)
# OpenBLAS ends its threads before a fork, and starts them when they have work.
forking.fork(print, name="first").join()
print(*[open(f"/proc/self/task/{thread}/comm").read().strip() for thread in os.listdir("/proc/self/task")][1:])
opened = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd") if int(name) > 2]
print(*[os.readlink(name) for name in opened if os.path.lexists(name)])
print(database.of_process.cache_info().currsize)
print(*[name for name in sys.modules if name.endswith(".__main__") and not name.startswith("_")])
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_leaves_no_thread_no_connection_and_no_program_behind() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], cwd=CHECKOUT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    _from_fork, threads, descriptors, databases, programs = done.stdout.split("\n")[:5]
    assert (threads, descriptors, databases, programs) == ("", "", "0", "")


def test_a_role_without_slow_libraries_needs_no_line_here() -> None:
    from deploy import preload

    assert preload.modules_of("reporting")[-1] == "workers.reporting.tasks"


def test_nothing_is_imported_once_we_are_to_stop() -> None:
    from deploy import preload

    preload.load(["deploy.nothing_of_this_name"], pause=lambda: False)
