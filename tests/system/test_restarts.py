"""The API is restarted under load: no request is refused and none fails."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from api import listening
from shared import settings
from tests.integration.http import wire
from tests.system_under_test import CHECKOUT, System

PING = {"kind": "training.ping", "params": {}}
PATIENCE_SECONDS = 60.0


@pytest.fixture
def system(tmp_path: pathlib.Path) -> Iterator[System]:
    """Yield a system of which nothing runs."""
    with System(tmp_path / "home") as system:
        system.prepare()
        yield system


class Load:
    """Clients that submit and poll without pause, on kept connections and on new ones."""

    def __init__(self, system: System) -> None:
        """Ask a system's API."""
        self._system = system
        self._stop = threading.Event()
        self.answers: list[int] = []
        self.failures: list[str] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Ask while the block runs."""
        threads = [threading.Thread(target=self._ask, args=(number % 2 == 0,)) for number in range(6)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, is_kept: bool) -> None:
        headers = {"Authorization": f"Bearer {self._system.key}"} | ({} if is_kept else {"Connection": "close"})
        with httpx.Client(base_url=self._system.url, headers=headers, timeout=PATIENCE_SECONDS) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/v1/jobs", json=PING)
                    self.answers += [answer.status_code, client.get(answer.headers["Location"]).status_code]
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                time.sleep(0.005)

    def wait_for_answers(self, count: int) -> None:
        """Wait until further requests have been answered."""
        wanted, limit = len(self.answers) + count, time.monotonic() + PATIENCE_SECONDS
        while len(self.answers) < wanted:
            assert time.monotonic() < limit
            time.sleep(0.05)

    def check(self) -> None:
        """See that everything was answered as it should be."""
        assert self.failures == []
        assert set(self.answers) == {200, 202}
        assert len(self.answers) > 100


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
    assert alive == []


def test_hup_replaces_the_serving_process_and_no_request_fails(system: System) -> None:
    system.start(["api"])
    load = Load(system)
    with load.running():
        for _ in range(2):
            old = system.serving()
            time.sleep(1)
            system.signal("api", signal.SIGHUP)
            wait_until_gone(old)
    load.check()
    assert len(system.serving()) == 1


def test_a_waiting_client_and_a_stream_are_let_go(system: System) -> None:
    system.start(["api"])
    job = system.client.post("/v1/jobs", json=PING).json()
    with wire.connected(system) as waiting, system.client.stream("GET", job["links"]["events"]) as stream:
        waiting.sendall(
            wire.head(
                system, "POST", "/v1/jobs", "Content-Type: application/json", "Prefer: wait=60", "Content-Length: 39"
            )
            + wire.PING
        )
        lines = stream.iter_lines()
        assert next(lines).startswith("id:")
        time.sleep(1)
        began = time.monotonic()
        system.signal("api", signal.SIGHUP)
        assert wire.read(waiting).status_code == 202
        assert "state" in "".join(lines)
        assert time.monotonic() - began < 30


def start_inheriting(system: System, listener: socket.socket) -> subprocess.Popen[bytes]:
    """Start an API on a socket that it inherits, as from systemd or `make up`."""
    return subprocess.Popen(
        [sys.executable, "-m", "api", "serve"],
        env={**system.env, "MILLRACE_API_LISTEN_FD": str(listener.fileno())},
        cwd=CHECKOUT,
        pass_fds=(listener.fileno(),),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_restart_on_an_inherited_socket_refuses_nobody(system: System) -> None:
    config = settings.Settings(home=system.home, api_port=system.port)
    with listening.listen(config) as listener:
        load = Load(system)
        api = start_inheriting(system, listener)
        try:
            with load.running():
                for _ in range(3):
                    load.wait_for_answers(200)
                    api.terminate()
                    assert api.wait(timeout=PATIENCE_SECONDS) == 0
                    api = start_inheriting(system, listener)
                load.wait_for_answers(200)
        finally:
            api.terminate()
            api.wait(timeout=PATIENCE_SECONDS)
    load.check()


def test_no_serving_process_outlives_its_main_one(system: System) -> None:
    system.start(["api"])
    orphans = system.serving()
    assert orphans
    system.kill_parent("api")
    wait_until_gone(orphans)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", system.port))


def test_a_second_api_on_the_same_port_says_so_and_takes_nothing(system: System) -> None:
    system.start(["api"])
    second = subprocess.run(
        [sys.executable, "-m", "api", "serve"],
        env=system.env,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1].endswith(f"can't listen on 127.0.0.1:{system.port}: {os.strerror(98)}")
    assert system.client.get("/v1/kinds").status_code == 200
