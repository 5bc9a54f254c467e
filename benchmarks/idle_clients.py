"""`make bench-idle`: how the API answers others while thousands of clients are idle, wait, stream, or send slowly.

One process of the API with PostgreSQL. First alone, then with the crowd: silent connections, keep-alive clients that
have asked once, event streams, `Prefer: wait`, and bodies that never end. `/healthz` and a submit of another key are
asked by turns. Absolute figures depend on the machine; the ratio to the same requests without the crowd tells more.
"""

import argparse
import contextlib
import dataclasses
import json
import pathlib
import resource
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import httpx

from benchmarks import measures
from tests import servers
from tests.system_under_test import System

_PING = {"kind": "training.ping", "params": {}}
_BODY = json.dumps(_PING).encode()
_JSON = b"Content-Type: application/json\r\n"
_LIMIT_SECONDS = 30.0
_ANSWERED = (200, 202)


@dataclasses.dataclass(frozen=True)
class Crowd:
    """How many clients of each sort there are."""

    silent: int = 2500
    idle: int = 2500
    streams: int = 500
    waits: int = 500
    slow_bodies: int = 200


@contextlib.contextmanager
def gathered(crowd: Crowd, *, port: int, key: str, job_id: str) -> Iterator[list[socket.socket]]:
    """Connect the clients, and yield their connections."""
    authorization = b"Authorization: Bearer " + key.encode() + b"\r\n"

    def request(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
        return line + b" HTTP/1.1\r\nHost: api\r\n" + b"".join(headers) + b"\r\n" + body

    length = b"Content-Length: %d\r\n" % len(_BODY)
    firsts = [
        *[request(b"GET /v1/jobs/" + job_id.encode() + b"/events", authorization)] * crowd.streams,
        *[request(b"POST /v1/jobs", authorization, _JSON, length, b"Prefer: wait=60\r\n", body=_BODY)] * crowd.waits,
        *[request(b"POST /v1/jobs", authorization, _JSON, length, body=_BODY[:5])] * crowd.slow_bodies,
        *[request(b"GET /healthz")] * crowd.idle,
        *[b""] * crowd.silent,
    ]
    with contextlib.ExitStack() as stack:
        connections = []
        for first in firsts:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=_LIMIT_SECONDS))
            if first:
                connection.sendall(first)
            connections.append(connection)
        yield connections


def measure(url: str, *, key: str, requests: int) -> dict[str, list[float]]:
    """Ask for `/healthz` and submit by turns; returns the milliseconds of each."""
    times: dict[str, list[float]] = {"healthz": [], "submit": []}
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=_LIMIT_SECONDS) as client:
        for number in range(2 * requests):
            name = "healthz" if number % 2 == 0 else "submit"
            began = time.perf_counter()
            response = client.get("/healthz") if name == "healthz" else client.post("/v1/jobs", json=_PING)
            times[name].append((time.perf_counter() - began) * 1000)
            if response.status_code not in _ANSWERED:
                raise RuntimeError(f"{name} was answered {response.status_code}: {response.text[:200]}")
    return times


def allow_files(count: int) -> None:
    """Raise the limit of open files of this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure without and with the crowd, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle_clients", description=__doc__)
    parser.add_argument("--requests", type=int, default=300, help="requests of each kind (default 300)")
    options = parser.parse_args(arguments)
    allow_files(20_000)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-idle-")))
        postgres = stack.enter_context(servers.find_postgres())
        prefix = f"bench_{secrets.token_hex(4)}_"
        stack.callback(postgres.drop_databases, prefix)
        system = stack.enter_context(System(folder / "home", database_url=postgres.url(f"{prefix}{{role}}")))
        system.start(["api"])
        other = system.run("api", "keys", "create", "--name", "other", "--scope", "write").strip()
        job_id = system.client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).json()["id"]
        measure(system.url, key=other, requests=options.requests // 10)
        alone = measure(system.url, key=other, requests=options.requests)
        with gathered(Crowd(), port=system.port, key=system.key, job_id=job_id):
            crowded = measure(system.url, key=other, requests=options.requests)
    print(f"{Crowd()}")
    print(f"{'ms':<10} {'alone p50':>10} {'p99':>8} {'crowd p50':>10} {'p99':>8} {'ratio p50':>10}")
    for name in alone:
        figures = [measures.percentile(times[name], share) for times in (alone, crowded) for share in (0.5, 0.99)]
        print(f"{name:<10} {figures[0]:10.2f} {figures[1]:8.2f} {figures[2]:10.2f} {figures[3]:8.2f}", end="")
        print(f" {figures[2] / figures[0]:10.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
