"""What the tests of attempts share: this process as a pool's, with a guard."""

import pathlib
import signal
from collections.abc import Iterator

import pytest
import structlog.testing

from shared import database, settings
from tests.unit.rig import ROLE, Rig
from workers.guard import Guard, Link


@pytest.fixture
def process(rig: Rig, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process's databases and home be the test's."""
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(database, "of_process", lambda: {ROLE: rig.engines})
    settings.load.cache_clear()
    with structlog.testing.capture_logs():
        yield
    settings.load.cache_clear()


@pytest.fixture
def guard() -> Iterator[Guard]:
    """Yield a guard that watches this process's jobs."""
    before = signal.getsignal(signal.SIGTERM)
    link = Link([ROLE])
    yield Guard(link, slot=0, fence_seconds=600, kill_after_seconds=600, turn_seconds=60, hang_seconds=600)
    signal.signal(signal.SIGTERM, before)
    for end in link._sockets[ROLE]:
        end.close()
