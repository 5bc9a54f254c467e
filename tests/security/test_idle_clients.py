"""Clients that are idle, wait, stream or send slowly keep nobody from being answered."""

import socket
import time
from collections.abc import Iterator

import pytest

from benchmarks import idle_clients, measures
from tests.integration.http import wire
from tests.system_under_test import System

CROWD = idle_clients.Crowd(silent=150, idle=150, streams=100, waits=100, slow_bodies=100)
REQUESTS = 30


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield an API with few threads, far fewer than the crowd has clients of each sort."""
    with System(tmp_path_factory.mktemp("crowded"), settings={"MILLRACE_API_THREADS": "8"}) as system:
        system.start(["api"])
        yield system


def test_a_crowd_of_idle_clients_keeps_nobody_from_being_answered(served: System) -> None:
    other = served.run("api", "keys", "create", "--name", "other", "--scope", "write").strip()
    job = served.client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).json()
    alone = idle_clients.measure(served.url, key=other, requests=REQUESTS)
    with idle_clients.gathered(CROWD, port=served.port, key=served.key, job_id=job["id"]) as connections:
        crowded = idle_clients.measure(served.url, key=other, requests=REQUESTS)
        streaming = connections[: CROWD.streams]
        assert all(b"event: state" in connection.recv(4096) for connection in streaming)
    for name in alone:
        # Before, each of these waited until the crowd went away.
        assert measures.percentile(crowded[name], 0.5) < 20 * measures.percentile(alone[name], 0.5)
        assert max(crowded[name]) < 10_000


def test_an_answer_that_nobody_reads_holds_no_thread(served: System) -> None:
    document = wire.head(served, "GET", "/openapi.json")
    connections = []
    try:
        for _ in range(32):
            connection = socket.create_connection(("127.0.0.1", served.port))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(document * 50)
            connections.append(connection)
        began = time.monotonic()
        assert served.client.get("/v1/kinds").status_code == 200
        assert time.monotonic() - began < 30
    finally:
        for connection in connections:
            connection.close()


def test_http_2_is_not_spoken(served: System) -> None:
    with wire.connected(served) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        assert not connection.recv(1024).startswith(b"\0\0")


def test_a_refused_body_does_not_break_the_answer(served: System) -> None:
    size = 8 * 1024 * 1024
    request = wire.head(served, "POST", "/v1/jobs", "Content-Type: application/json", f"Content-Length: {size}")
    answer = wire.ask(served, request, b"x" * size)
    assert answer.status_code == 413
    request = wire.head(served, "POST", "/v1/jobs", f"Content-Length: {size}", key=False)
    assert wire.ask(served, request, b"x" * size).status_code == 401


def test_a_stream_does_not_outlive_its_key(served: System, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = served.run("api", "keys", "create", "--name", "brief", "--scope", "read").strip()
    job = served.client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).json()
    with wire.connected(served) as connection:
        head = f"GET {job['links']['events']} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {secret}\r\n\r\n"
        connection.sendall(head.encode())
        received = b""
        while b"event: state" not in received:
            chunk = connection.recv(65536)
            assert chunk, received
            received += chunk
        served.run("api", "keys", "revoke", secret.split("_")[1])
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            chunk = connection.recv(65536)
            assert chunk, "the stream ends as a stream does"
            rest += chunk
    assert b"event:" not in rest
