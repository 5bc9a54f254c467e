"""A process in which a thread makes no progress ends itself, and says where that thread is."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import structlog.testing

from shared import watchdog

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
HANG_SECONDS = 0.4
PATIENCE_SECONDS = 10.0


class Dog:
    """A watchdog that, instead of ending this process, says that it would."""

    def __init__(self, health: pathlib.Path | None = None) -> None:
        """Watch nothing yet."""
        self.ended = threading.Event()
        self._dog = watchdog.Watchdog(hang_seconds=HANG_SECONDS, health=health, look_seconds=0.05, end=self.ended.set)
        self.watch = self._dog.watch


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def wait_for_nothing(released: threading.Event) -> None:
    released.wait()


def test_a_thread_that_hangs_is_named_with_where_it_is() -> None:
    dog, released = Dog(), threading.Event()
    watched = dog.watch("keeper of nobody")

    def work() -> None:
        watched.turn()
        wait_for_nothing(released)

    with structlog.testing.capture_logs() as logs:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert dog.ended.wait(PATIENCE_SECONDS)
    (event,) = [event for event in logs if event["event"] == "thread_hangs"]
    assert event["thread"] == "keeper of nobody"
    assert [line for line in event["frames"] if line.endswith(" wait_for_nothing")]
    released.set()
    thread.join()


def test_a_thread_that_turns_rests_or_has_ended_does_not_hang() -> None:
    dog = Dog()
    turning, resting, ended = (dog.watch(name) for name in ("turning", "resting", "ended"))
    resting.turn()
    resting.rest()
    ended.turn()
    ended.end()
    until_time = time.monotonic() + 3 * HANG_SECONDS
    while time.monotonic() < until_time:
        turning.turn()
        time.sleep(0.01)
    assert not dog.ended.is_set()
    assert dog.ended.wait(PATIENCE_SECONDS), "it hangs from the last turn on"


def test_one_that_hangs_is_seen_beside_others_that_turn() -> None:
    dog = Dog()
    hanging, turning = dog.watch("hanging"), dog.watch("turning")
    hanging.turn()
    limit = time.monotonic() + PATIENCE_SECONDS
    while not dog.ended.is_set():
        assert time.monotonic() < limit
        turning.turn()
        time.sleep(0.01)


def test_work_that_threads_take_turns_at_is_watched_anew_after_a_rest() -> None:
    dog = Dog()
    watched = dog.watch("commits")
    for _ in range(3):
        watched.turn()
        watched.rest()
    time.sleep(2 * HANG_SECONDS)
    assert not dog.ended.is_set()
    watched.turn()
    assert dog.ended.wait(PATIENCE_SECONDS)


def test_the_health_file_is_renewed_only_while_all_is_well(tmp_path: pathlib.Path) -> None:
    health = tmp_path / "health"
    dog = Dog(health)
    watched = dog.watch("one")
    until(health.exists)
    os.utime(health, (1, 1))
    until(lambda: health.stat().st_mtime > 1)
    watched.turn()
    assert dog.ended.wait(PATIENCE_SECONDS)
    os.utime(health, (1, 1))
    time.sleep(3 * HANG_SECONDS)
    assert health.stat().st_mtime == 1


def test_a_health_file_that_cannot_be_written_ends_nothing(tmp_path: pathlib.Path) -> None:
    dog = Dog(tmp_path / "no" / "health")
    dog.watch("one").turn()
    assert dog.ended.wait(PATIENCE_SECONDS), "the watchdog went on"


_HANGING = """
import threading, time
from shared import settings, watchdog
watchdog.Watchdog(hang_seconds=1.0).watch("main").turn()
print("hangs", flush=True)
time.sleep(60)
"""


def test_a_process_that_hangs_ends_with_a_status_of_its_own() -> None:
    ended = subprocess.run([sys.executable, "-c", _HANGING], cwd=CHECKOUT, timeout=30, capture_output=True, check=False)
    assert ended.returncode == watchdog.EXIT_STATUS
    assert b"thread_hangs" in ended.stdout + ended.stderr


def test_a_process_that_was_stopped_for_longer_goes_on() -> None:
    program = _HANGING.replace("time.sleep(60)", "time.sleep(0.3)")
    with subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"hangs\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.0)
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=30) == 0


def test_a_fork_has_a_watchdog_of_its_own() -> None:
    program = (
        "import os, time\n"
        "from shared import watchdog\n"
        "watchdog.of_process().watch('parent')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    watchdog.of_process().watch('child').turn()\n"
        "    time.sleep(60)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        env={**os.environ, "MILLRACE_HANG_SECONDS": "1"},
        timeout=30,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == str(watchdog.EXIT_STATUS)
