"""The API over real HTTP, faced with clients that are broken, slow or hostile."""

import contextlib
import gzip
import time

import pytest

from tests.integration.http import wire
from tests.integration.http.wire import PING, ask, chunk, connected, head, read, read_in_turn
from tests.integration.steps import problem_of
from tests.system_under_test import System

JSON = "Content-Type: application/json"
CSV = "Content-Type: text/csv"
CHUNKED = "Transfer-Encoding: chunked"
MEGABYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def unshaken(served: System) -> object:
    """See after each test that the API still answers at once, and has not grown."""
    before = wire.memory_bytes(served)
    yield
    began = time.monotonic()
    assert ask(served, head(served, "GET", "/v1/kinds")).status_code == 200
    assert time.monotonic() - began < 2
    assert wire.memory_bytes(served) - before < 60 * MEGABYTE


def length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


def test_a_job_is_accepted(served: System) -> None:
    assert ask(served, head(served, "POST", "/v1/jobs", JSON, length(PING)), PING).status_code == 202


def test_a_body_shorter_than_it_says_is_400_although_it_is_whole_json(served: System) -> None:
    answer = ask(served, head(served, "POST", "/v1/jobs", JSON, "Content-Length: 1000"), PING, half_close=True)
    assert f"1000 bytes, but {len(PING)} were received" in problem_of(answer, 400)["detail"]


def test_a_body_longer_than_it_says_is_cut_and_the_rest_is_no_request(served: System) -> None:
    order = b'{"kind": "training.ping", "params": {}, "tags": ["smuggled"]}'
    smuggled = head(served, "POST", "/v1/jobs", JSON, length(order)) + order
    with connected(served) as connection:
        connection.sendall(head(served, "POST", "/v1/jobs", JSON, "Content-Length: 10") + PING + smuggled)
        problem_of(read(connection), 400)
        with contextlib.suppress(ConnectionError):
            assert read(connection).status_code == 400
            assert connection.recv(1) == b""
    assert served.client.get("/v1/jobs?tag=smuggled").json()["jobs"] == []


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: -1"],
        ["Content-Length: abc"],
        ["Content-Length: 1e3"],
        ["Content-Length: +5"],
        ["Content-Length: 99999999999999999999999"],
        ["Content-Length: 39", "Content-Length: 3"],
        ["Content-Length: 39, 3"],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding: chunked, identity"],
    ],
)
def test_a_length_that_is_none_is_400_and_the_connection_ends(served: System, headers: list[str]) -> None:
    with connected(served) as connection:
        connection.sendall(head(served, "POST", "/v1/jobs", JSON, *headers) + PING)
        assert read(connection).status_code in {400, 413}
        assert connection.recv(1) == b""


def test_a_length_beside_chunks_is_not_believed(served: System) -> None:
    with connected(served) as connection:
        start = head(served, "POST", "/v1/jobs", JSON, CHUNKED, "Content-Length: 3")
        connection.sendall(start + chunk(PING) + chunk(b"") + head(served, "GET", "/healthz"))
        assert read(connection).status_code in {202, 400}
        assert connection.recv(1) == b""


def test_json_in_chunks_is_taken(served: System) -> None:
    parts = (chunk(PING[:10]), chunk(PING[10:]), chunk(b""))
    assert ask(served, head(served, "POST", "/v1/jobs", JSON, CHUNKED), *parts).status_code == 202


@pytest.mark.parametrize("rest", [b"", b"zz\r\n", b"5\r\nab"])
def test_json_in_chunks_that_break_off_is_400(served: System, rest: bytes) -> None:
    start = head(served, "POST", "/v1/jobs", JSON, CHUNKED)
    problem_of(ask(served, start, chunk(PING[:-3]), rest, half_close=True), 400)


def test_a_body_of_no_length_is_empty(served: System) -> None:
    assert "not JSON" in problem_of(ask(served, head(served, "POST", "/v1/jobs", JSON)), 400)["detail"]


def test_a_string_of_100_megabytes_is_413_before_it_is_sent(served: System) -> None:
    answer = ask(served, head(served, "POST", "/v1/jobs", JSON, f"Content-Length: {100 * MEGABYTE}"), b'{"kind": "')
    assert "2097152" in problem_of(answer, 413)["detail"]


def test_a_string_of_100_megabytes_in_chunks_is_413_and_not_held(served: System) -> None:
    piece = chunk(b"x" * MEGABYTE)
    answer = ask(served, head(served, "POST", "/v1/jobs", JSON, CHUNKED), chunk(b'{"kind": "'), *[piece] * 100)
    problem_of(answer, 413)


def test_a_gzip_bomb_is_not_unpacked_by_the_api(served: System) -> None:
    bomb = gzip.compress(b"0" * (200 * MEGABYTE), 9)
    packed = ("Content-Encoding: gzip", length(bomb))
    problem_of(ask(served, head(served, "POST", "/v1/jobs", JSON, *packed), bomb), 415)
    assert ask(served, head(served, "POST", "/v1/datasets/bomb", CSV, *packed), bomb).status_code == 202


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets/d"])
def test_ten_thousand_parts_are_415(served: System, path: str) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n'
    body = part * 10_000 + b"--b--\r\n"
    for kind in ("multipart/form-data; boundary=b", "multipart/form-data", "multipart/mixed; boundary="):
        answer = ask(served, head(served, "POST", path, f"Content-Type: {kind}", length(body)), body)
        assert "multipart" in problem_of(answer, 415)["detail"]


def test_a_header_of_64_kilobytes_is_taken_or_refused_and_a_larger_one_is_431(served: System) -> None:
    for name in ("X-Long", "Prefer", "If-None-Match", "traceparent", "Cookie"):
        assert ask(served, head(served, "GET", "/v1/jobs", f"{name}: {'a' * 65536}")).status_code == 200
    authorization = f"Authorization: Bearer {'a' * 65536}"
    problem_of(ask(served, head(served, "GET", "/v1/jobs", authorization, key=False)), 401)
    problem_of(
        ask(served, head(served, "POST", "/v1/jobs", JSON, f"Idempotency-Key: {'a' * 65536}", length(PING)), PING), 400
    )
    assert ask(served, head(served, "GET", "/v1/jobs", f"X-Long: {'a' * 600_000}")).status_code == 431
    assert ask(served, head(served, "GET", "/v1/jobs", *[f"X-{n}: 1" for n in range(500)])).status_code == 431


def test_two_authorization_headers_are_400_in_any_order(served: System) -> None:
    good, bad = f"Authorization: Bearer {served.key}", "Authorization: Bearer x"
    for pair in ((good, good), (good, bad), (bad, good), (f"{good}, Bearer x",)):
        detail = problem_of(ask(served, head(served, "GET", "/v1/jobs", *pair, key=False)), 400)["detail"]
        assert "exactly one" in detail


def test_delete_without_a_key_is_401_and_the_body_is_not_waited_for(served: System) -> None:
    problem_of(ask(served, head(served, "DELETE", "/v1/datasets/d/versions/1", key=False)), 401)
    endless = head(served, "POST", "/v1/datasets/d", CSV, f"Content-Length: {10**12}", key=False)
    began = time.monotonic()
    problem_of(ask(served, endless, b"a\n" * 1000), 401)
    assert time.monotonic() - began < 2


def test_old_http_is_answered_and_closed(served: System) -> None:
    with connected(served) as connection:
        connection.sendall(head(served, "POST", "/v1/jobs", JSON, length(PING), version="1.0") + PING)
        assert read(connection).status_code == 202
        assert connection.recv(1) == b""


def test_pipelined_requests_are_answered_in_their_order(served: System) -> None:
    submit = head(served, "POST", "/v1/jobs", JSON, length(PING)) + PING
    paths = ["/healthz", "/v1/nothing", "/v1/jobs?limit=1"]
    with connected(served) as connection:
        connection.sendall(submit + b"".join(head(served, "GET", path) for path in paths))
        assert [answer.status_code for answer in read_in_turn(connection, 4)] == [202, 200, 404, 200]


@pytest.mark.parametrize(
    "garbage",
    [b"GARBAGE\r\n\r\n", b"\x16\x03\x01\x02\x00" * 20, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100],
    ids=["a word", "TLS", "no path", "HTTP/9.9", "NULs"],
)
def test_what_is_no_http_is_400_or_closed(served: System, garbage: bytes) -> None:
    with connected(served) as connection:
        connection.sendall(garbage)
        first = connection.recv(1000)
        assert first == b"" or b" 400 " in first or b" 505 " in first


def test_names_are_refused_over_http_as_in_the_process(served: System) -> None:
    for path in ("/v1/datasets/../../etc/passwd", "/v1/datasets/%2e%2e%2f", "/v1/datasets/a%00", "/v1/jobs/%FF"):
        answer = ask(served, head(served, "GET", path))
        problem_of(answer, answer.status_code)
        assert answer.status_code in {400, 404, 422}


def test_head_and_options_have_no_body_and_the_connection_lives(served: System) -> None:
    with connected(served) as connection:
        for method in ("HEAD", "OPTIONS", "HEAD"):
            connection.sendall(head(served, method, "/v1/kinds"))
            answer = read(connection, method=method)
            assert (answer.status_code, answer.data) == (200, b"")


def test_clients_that_stop_sending_hold_nobody(served: System) -> None:
    stalled = head(served, "POST", "/v1/jobs", JSON, "Content-Length: 100") + b"{"
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(served)).sendall(stalled)
        began = time.monotonic()
        assert ask(served, head(served, "GET", "/healthz")).status_code == 200
        assert ask(served, head(served, "POST", "/v1/jobs", JSON, length(PING)), PING).status_code == 202
        assert time.monotonic() - began < 3
