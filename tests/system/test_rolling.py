"""Everything is restarted in turn under load, as an upgrade does it: nothing is refused, lost or done twice."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.system import rig as rigs
from tests.system.conftest import MakeRig
from tests.system.rig import ROLE, Rig

pytestmark = pytest.mark.chaos

WORKERS = (ROLE, f"{ROLE}#2")
CLIENTS = 4
PATIENCE_SECONDS = 60.0


class Clients:
    """Clients who submit without pause, once each, and take nothing but 202 for an answer."""

    def __init__(self, rig: Rig) -> None:
        """Submit to a rig's API."""
        self._rig = rig
        self._stop = threading.Event()
        self.accepted: list[str] = []
        self.problems: list[str] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Submit while the block runs."""
        threads = [threading.Thread(target=self._submit) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _submit(self) -> None:
        headers = {"Authorization": f"Bearer {self._rig.key}"}
        document = {"kind": f"{ROLE}.act", "params": {"how": "sleep", "seconds": 0.05}}
        with httpx.Client(base_url=self._rig.url, headers=headers, timeout=PATIENCE_SECONDS) as client:
            while not self._stop.wait(0.1):
                try:
                    answer = client.post("/v1/jobs", json=document)
                except httpx.HTTPError as error:
                    self.problems.append(repr(error))
                    continue
                if answer.status_code == httpx.codes.ACCEPTED:
                    self.accepted.append(answer.json()["id"])
                else:
                    self.problems.append(answer.text)


def replace_api(rig: Rig) -> None:
    """Have the API replace the process that serves, and wait until the old one has ended."""
    old = rig.serving()
    rig.signal("api", signal.SIGHUP)
    assert psutil.wait_procs(old, timeout=PATIENCE_SECONDS)[1] == []


def restart(rig: Rig, name: str) -> None:
    """Ask a process to end, and start it again."""
    rig.stop([name])
    rig.launch(name)


@pytest.mark.timeout(300)
def test_a_rolling_restart_of_everything_refuses_loses_and_doubles_nothing(
    backend: str, make_rig: MakeRig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = make_rig(backend, worker_concurrency="2")
    rig.start(["api", "sweeper", *WORKERS])
    clients = Clients(rig)
    began = time.monotonic()
    with clients.running():
        time.sleep(2)
        replace_api(rig)
        for name in (*WORKERS, "sweeper"):
            restart(rig, name)
        replace_api(rig)
        time.sleep(2)
    rolled = time.monotonic()
    rigs.until(
        lambda: all(rig.row(job).state in rigs.ENDS for job in clients.accepted),
        seconds=90.0,
        what="the last job's end",
    )
    with capsys.disabled():
        sys.stdout.write(
            f"\n{backend}: {len(clients.accepted)} accepted and {len(clients.problems)} refused in "
            f"{rolled - began:.0f} s of restarts; all ended {time.monotonic() - rolled:.1f} s later\n"
        )
    assert clients.problems == []
    assert len(clients.accepted) > 50
    assert rig.effects() == dict.fromkeys(clients.accepted, 1)
