"""Uploads over real HTTP: streamed to the store, whole or not at all."""

import contextlib
import gzip
import hashlib
import pathlib
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.integration import worker
from tests.integration.http import wire
from tests.integration.http.wire import ask, chunk, connected, head
from tests.integration.steps import at_home, problem_of
from tests.system_under_test import System

CSV = "Content-Type: text/csv"
CHUNKED = "Transfer-Encoding: chunked"
MEGABYTE = 1024 * 1024


def files(served: System) -> set[pathlib.Path]:
    """List the files of the object store, half-written ones included."""
    found = (served.home / "objects").rglob("*")
    return {path for path in found if path.is_file() and path.suffix != ".lock"}


def jobs(served: System, name: str) -> list[str]:
    """List the ids of the loads of a dataset."""
    found = served.client.get("/v1/jobs?kind=ingestion.load&limit=500").json()["jobs"]
    return [job["id"] for job in found if job["params"]["name"] == name]


def test_300_megabytes_stream_to_the_store_while_the_api_stays_small(served: System) -> None:
    line = b"0123456789abcde,0123456789abcde\n"
    piece = line * (MEGABYTE // len(line))
    before = most = wire.memory_bytes(served)

    def pieces() -> Iterator[bytes]:
        nonlocal most
        for number in range(300):
            if number % 20 == 0:
                most = max(most, wire.memory_bytes(served))
            yield piece

    known = files(served)
    headers = {"Content-Type": "text/csv", "Content-Length": str(300 * MEGABYTE)}
    answer = served.client.post("/v1/datasets/large", content=pieces(), headers=headers, timeout=120)
    assert answer.status_code == 202
    most = max(most, wire.memory_bytes(served))
    assert most - before < 40 * MEGABYTE
    [stored] = files(served) - known
    assert stored.stat().st_size == 300 * MEGABYTE
    digest = hashlib.sha256()
    for _ in range(300):
        digest.update(piece)
    with stored.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == digest.digest()
    served.client.post(f"{answer.headers['Location']}/cancel")
    stored.unlink()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((CSV, "Content-Length: 5000"), b"a\n" * 100),
        (("Content-Type: application/vnd.apache.parquet", "Content-Length: 5000"), b"PAR1" * 10),
    ],
)
def test_an_upload_that_is_cut_off_is_400_and_leaves_nothing(
    served: System, headers: tuple[str, ...], body: bytes
) -> None:
    known = files(served)
    answer = ask(served, head(served, "POST", "/v1/datasets/cut", *headers), body, half_close=True)
    assert f"5000 bytes, but {len(body)} were received" in problem_of(answer, 400)["detail"]
    assert (files(served), jobs(served, "cut")) == (known, [])


def test_a_client_that_dies_in_the_middle_leaves_nothing(served: System) -> None:
    known = files(served)
    with connected(served) as connection:
        connection.sendall(head(served, "POST", "/v1/datasets/died", CSV, "Content-Length: 5000000") + b"a\n" * 500_000)
        time.sleep(0.5)
    time.sleep(0.5)
    assert (files(served), jobs(served, "died")) == (known, [])
    assert list((served.home / "scratch").rglob("tmp*")) == []


@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson"])
def test_lines_whose_end_could_not_be_told_are_411_with_a_way_out(served: System, kind: str) -> None:
    known = files(served)
    start = head(served, "POST", "/v1/datasets/endless", f"Content-Type: {kind}", CHUNKED)
    answer = ask(served, start, chunk(b"a\n1\n"), chunk(b""))
    detail = problem_of(answer, 411)["detail"]
    assert "Content-Length" in detail
    assert "gzip" in detail
    assert (files(served), jobs(served, "endless")) == (known, [])


def test_packed_lines_of_no_declared_length_are_loaded(served: System) -> None:
    packed = gzip.compress(b"a\n1\n2\n")
    headers = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
    answer = served.client.post("/v1/datasets/packed", content=iter([packed[:10], packed[10:]]), headers=headers)
    assert answer.status_code == 202
    with at_home(served.home):
        assert worker.perform(answer.json()) is None
    assert served.client.get("/v1/datasets/packed/versions/1").json()["rows"] == 2


@pytest.mark.parametrize(
    ("kind", "encoding", "data"),
    [
        ("text/csv", "gzip", gzip.compress(b"a\n" + b"1\n" * 5000, mtime=0)),
        ("application/json", "identity", b'[{"a": 1}, {"a": 2}, {"a": 3}]'),
    ],
)
def test_what_shows_its_own_end_fails_when_it_was_cut_off_in_chunks(
    served: System, kind: str, encoding: str, data: bytes
) -> None:
    start = head(
        served, "POST", "/v1/datasets/broken", f"Content-Type: {kind}", f"Content-Encoding: {encoding}", CHUNKED
    )
    answer = ask(served, start, chunk(data[: len(data) // 2]), half_close=True)
    assert answer.status_code == 202
    with at_home(served.home):
        assert worker.perform(answer.get_json()) == "BadDataError"
    assert served.client.get("/v1/datasets/broken").status_code == 404


def test_a_download_is_whole(served: System) -> None:
    data = b"a,b\n" + b"".join(b'%d,"%s"\n' % (number, b"x" * 50) for number in range(50_000))
    answer = served.client.post("/v1/datasets/down", content=data, headers={"Content-Type": "text/csv"})
    with at_home(served.home):
        assert worker.perform(answer.json()) is None
    csv = served.client.get("/v1/datasets/down/versions/1/content?format=csv").content
    assert csv.replace(b'"a","b"', b"a,b") == data
    version = served.client.get("/v1/datasets/down/versions/1").json()
    parquet = served.client.get("/v1/datasets/down/versions/1/content").content
    assert hashlib.sha256(parquet).hexdigest() == version["sha256"]


def test_clients_that_stop_receiving_hold_nobody_and_little_memory(served: System) -> None:
    data = b"a,b\n" + b"".join(b'%d,"%s"\n' % (number, b"%d" % (number * 7919) * 20) for number in range(250_000))
    answer = served.client.post("/v1/datasets/wide", content=data, headers={"Content-Type": "text/csv"})
    with at_home(served.home):
        assert worker.perform(answer.json()) is None
    # What one whole download leaves behind in the API's pools is no growth.
    assert len(served.client.get("/v1/datasets/wide/versions/1/content?format=csv").content) > 30 * MEGABYTE
    before = wire.memory_bytes(served)
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            connection = stack.enter_context(connected(served))
            connection.sendall(head(served, "GET", "/v1/datasets/wide/versions/1/content?format=csv"))
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        assert served.client.get("/v1/datasets/wide/versions/1/content").status_code == 200
        assert served.client.get("/v1/datasets/wide").status_code == 200
        # Whole row groups would be 57 MB a client, 342 MB in all; readers at once leave up to 80 MB in Arrow's pools.
        assert wire.memory_bytes(served) - before < 150 * MEGABYTE


def test_clients_that_leave_a_download_free_what_it_held(served: System) -> None:
    for _ in range(20):
        with connected(served) as connection:
            connection.sendall(head(served, "GET", "/v1/datasets/down/versions/1/content?format=csv"))
            connection.recv(1000)
    until = time.monotonic() + 5
    with httpx.Client(base_url=served.url, timeout=5) as nobody:
        while nobody.get("/healthz").status_code != 200:
            assert time.monotonic() < until
