"""The inference server's HTTP, with two processes in a copy: what is sent, refused, counted, and how it stops."""

import gzip
import itertools
import json
import signal
import socket
import statistics
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client import parser

from tests.integration import sample_data
from tests.system.serving.served import asking, await_revision, await_true, deploy, finish
from tests.system_under_test import System

ROW = {"a": 0.5, "b": 0.25, "word": "red"}
ROWS = {"instances": [ROW]}
PATH = "/v1/deployments/great/predictions"
INFER = "/v2/models/great/infer"
INPUTS = [
    {"name": "a", "datatype": "FP64", "shape": [1], "data": [0.5]},
    {"name": "b", "datatype": "FP64", "shape": [1], "data": [0.25]},
    {"name": "word", "datatype": "BYTES", "shape": [1], "data": ["red"]},
]
DRAIN_SECONDS = 3.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield a system whose inference server has two processes, with one deployment."""
    settings = {"MILLRACE_INFERENCE_PROCESSES": "2", "MILLRACE_INFERENCE_DRAIN_SECONDS": f"{DRAIN_SECONDS}"}
    with System(tmp_path_factory.mktemp("wire"), settings=settings) as system:
        system.start(["api", "sweeper", "inference", "ingestion,training"])
        headers = {"Content-Type": "text/csv"}
        finish(system, system.client.post("/v1/datasets/things", content=sample_data.table(), headers=headers))
        finish(system, system.client.post("/v1/models/greatness", json=sample_data.TRAINING))
        await_served(system)
        yield system


def await_served(system: System) -> None:
    revision = deploy(system, ("greatness@1", 100))
    # Each connection may be to another process.
    for _ in range(10):
        with asking(system) as client:
            await_revision(client, revision)


@pytest.fixture
def client(system: System) -> Iterator[httpx.Client]:
    with asking(system) as client:
        yield client


def test_head_is_answered_wherever_get_is(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    paths = [path for path, operations in document["paths"].items() if "get" in operations]
    assert len(paths) > 20
    for path in paths:
        concrete = path.format(model="great", name="great", deployment="great", version="1")
        got, head = client.get(concrete), client.head(concrete)
        assert (got.status_code, head.status_code, head.content) == (200, 200, b""), concrete
        assert head.headers["content-type"] == got.headers["content-type"], concrete


def test_every_answer_has_the_age_of_what_is_served(client: httpx.Client) -> None:
    for path, status in (("/healthz", 200), ("/v2/models/great", 200), ("/v2/models/nothing", 404)):
        answer = client.get(path)
        assert (answer.status_code, int(answer.headers["millrace-manifest-age"]) < 60) == (status, True)


@pytest.mark.parametrize(("accepted", "encoding"), [
    ("gzip", "gzip"), ("deflate", "deflate"), ("gzip;q=0, deflate", "deflate"), ("*", "gzip"),
    ("identity", None), ("br", None), ("gzip;q=0", None), ("", None),
])  # fmt: skip
def test_long_answers_are_packed_as_the_client_accepts(
    client: httpx.Client, accepted: str, encoding: str | None
) -> None:
    body = {"instances": [ROW] * 500}
    request = client.build_request("POST", PATH, json=body, headers={"Accept-Encoding": accepted})
    answer = client.send(request, stream=True)
    raw = b"".join(answer.iter_raw())
    answer.close()
    assert answer.headers.get("content-encoding") == encoding
    unpack: Any = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}[encoding]
    assert len(json.loads(unpack(raw))["predictions"]) == 500
    assert encoding is None or len(raw) * 5 < len(unpack(raw))


def test_short_answers_are_not_packed(client: httpx.Client) -> None:
    assert "content-encoding" not in client.post(PATH, json=ROWS, headers={"Accept-Encoding": "gzip"}).headers


def count(text: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_a_copy_counts_over_its_processes(system: System, client: httpx.Client) -> None:
    of_it = {"tenant": "default", "deployment": "great"}

    def read() -> dict[str, float]:
        text = client.get("/metrics").text
        return {
            "requests": count(text, "millrace_inference_requests_total", face="v1", status="200"),
            "answered": count(
                text, "millrace_inference_predictions_total", outcome="answered", version="greatness@1", **of_it
            ),
            "rows": count(text, "millrace_inference_rows_total", version="greatness@1", **of_it),
            "waits": count(text, "millrace_inference_queue_seconds_count", **of_it),
            "times": count(text, "millrace_inference_model_seconds_count", version="greatness@1", **of_it),
        }

    before = read()
    sent, connections = 240, 24
    for _ in range(connections):
        with asking(system) as other:
            for _ in range(sent // connections):
                assert other.post(PATH, json={"instances": [ROW] * 3}).status_code == 200
    grown = {name: value - before[name] for name, value in read().items()}
    assert grown == {"requests": sent, "answered": sent, "rows": 3 * sent, "waits": sent, "times": sent}
    shown = client.get("/v2/models/great/stats").json()["model_stats"][0]
    assert shown["execution_count"] == read()["answered"]
    # It really was two processes that counted.
    folder = next((system.home / "inference").glob("*"))
    assert len({file.stem.rpartition("_")[2] for file in folder.glob("counter_*.db")}) == 2


def test_another_tenant_sees_nothing_of_ours_in_the_metrics(system: System) -> None:
    key = system.run("api", "keys", "create", "--name", "other", "--scope", "predict", "--tenant", "acme").strip()
    with asking(system, key=key) as other:
        await_true(lambda: other.get("/metrics").status_code == 200)
        text = other.get("/metrics").text
    assert count(text, "millrace_inference_requests_total") > 0
    assert "great" not in text


def pack(document: dict[str, Any], *blobs: bytes) -> tuple[bytes, int]:
    head = json.dumps(document).encode()
    return b"".join([head, *blobs]), len(head)


def tensor(datatype: str = "FP64", size: Any = 8, shape: Any = (1,), name: str = "a") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape), "parameters": {"binary_data_size": size}}


GOOD, GOOD_LENGTH = pack({"inputs": [tensor(), *INPUTS[1:]]}, struct.pack("<d", 0.5))


@pytest.mark.parametrize(
    "length", ["-1", "abc", "", "1", f"{len(GOOD) + 1}", "9" * 400, "1e2", "0", f"{len(GOOD)}", "²"]
)
def test_a_false_length_of_the_json_is_refused(system: System, length: str) -> None:
    told = {"Authorization": f"Bearer {system.key}", "Inference-Header-Content-Length": length}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    answer = httpx.post(f"{system.inference_url}{INFER}", content=GOOD, headers=headers)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


BAD_TENSORS: list[tuple[dict[str, Any], bytes]] = [
    (tensor(size=9), bytes(8)),
    (tensor(size=7), bytes(8)),
    (tensor(size=8), bytes(9)),
    (tensor(size=-8), bytes(8)),
    (tensor(size=2**70), bytes(8)),
    (tensor(size=True), bytes(1)),
    (tensor(size="8"), bytes(8)),
    (tensor(size=8.0), bytes(8)),
    (tensor("INT64", shape=(2,)), bytes(8)),
    (tensor("INT64", 7), bytes(7)),
    (tensor("BOOL", 0), b""),
    (tensor("FP64", shape=(2**40, 2**40)), bytes(8)),
    (tensor("FP64"), struct.pack("<d", float("inf"))),
    (tensor("FP64"), struct.pack("<d", float("-inf"))),
    (tensor("BYTES", 4), struct.pack("<I", 2**32 - 1)),
    (tensor("BYTES", 3), bytes(3)),
    (tensor("BYTES", 5), struct.pack("<I", 1) + b"\xff"),
    (tensor("BYTES", 10), struct.pack("<I", 1) + b"ab" + bytes(4)),
    (tensor("FP64", shape=(0,), size=0), b""),
]


@pytest.mark.parametrize(("bad", "blob"), BAD_TENSORS)
def test_a_false_binary_tensor_is_refused(client: httpx.Client, bad: dict[str, Any], blob: bytes) -> None:
    body, length = pack({"inputs": [bad, *INPUTS[1:]]}, blob)
    answer = client.post(INFER, content=body, headers={"Inference-Header-Content-Length": f"{length}"})
    assert (answer.status_code, list(answer.json())) == (400, ["error"]), answer.text


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("path", [PATH, INFER, "/mlflow/great/invocations"])
def test_numbers_that_are_not_finite_are_refused_in_json(client: httpx.Client, path: str, number: str) -> None:
    inputs = json.dumps({"inputs": INPUTS}).replace("0.5", number)
    body = inputs if path == INFER else json.dumps(ROWS).replace("0.5", number)
    answer = client.post(path, content=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text


def test_answers_hold_no_token_that_json_lacks(client: httpx.Client) -> None:
    missing, length = pack({"inputs": [tensor(), *INPUTS[1:]]}, struct.pack("<d", float("nan")))
    answer = client.post(INFER, content=missing, headers={"Inference-Header-Content-Length": f"{length}"})
    assert answer.status_code in (200, 400)
    json.loads(answer.text, parse_constant=pytest.fail)


def test_ten_thousand_inputs_are_read_in_time(client: httpx.Client) -> None:
    def ask(inputs: list[dict[str, Any]]) -> float:
        began = time.perf_counter()
        answer = client.post(INFER, json={"inputs": inputs})
        assert answer.status_code == 200, answer.text
        return time.perf_counter() - began

    ask(INPUTS)
    many = [{"name": f"k{number}", "datatype": "FP64", "shape": [1], "data": [1]} for number in range(10_000)]
    usual = statistics.median(ask(INPUTS) for _ in range(9))
    assert min(ask([*INPUTS, *many]) for _ in range(3)) < max(1.0, 300 * usual)


def raw_request(system: System, *headers: str) -> bytes:
    lines = (f"POST {INFER} HTTP/1.1", "Host: x", f"Authorization: Bearer {system.key}", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_gigabyte_is_refused_by_what_it_says_of_its_length(system: System) -> None:
    with socket.create_connection(("127.0.0.1", system.inference_port), timeout=30) as connection:
        connection.sendall(raw_request(system, f"Content-Length: {1 << 30}"))
        began = time.perf_counter()
        # Not one byte of it was sent.
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")
        assert time.perf_counter() - began < 5


def test_a_stream_without_an_end_is_refused_once_it_is_too_long(system: System) -> None:
    chunk = bytes(1 << 20)
    framed = f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"
    with socket.create_connection(("127.0.0.1", system.inference_port), timeout=30) as connection:
        connection.sendall(raw_request(system, "Transfer-Encoding: chunked"))
        sent = 0
        connection.settimeout(30)
        try:
            for _ in range(1024):
                connection.sendall(framed)
                sent += 1
        except OSError:
            pass
        assert 64 <= sent < 512
        with_answer = connection.recv(4096) if sent else b""
        assert with_answer.startswith(b"HTTP/1.1 413") or not with_answer


def serving(system: System) -> list[psutil.Process]:
    children = psutil.Process(system.processes["inference"].pid).children()
    return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]


def test_bad_requests_leave_the_process_as_it_was(system: System, client: httpx.Client) -> None:
    def hurt() -> None:
        for _ in range(3):
            for bad, blob in BAD_TENSORS:
                body, length = pack({"inputs": [bad, *INPUTS[1:]]}, blob)
                client.post(INFER, content=body, headers={"Inference-Header-Content-Length": f"{length}"})
            huge = {"name": "a", "datatype": "FP64", "shape": [300_000], "data": [1.0] * 299_999}
            assert client.post(INFER, json={"inputs": [huge]}).status_code == 400
            packed = gzip.compress(bytes(80 << 20))
            assert client.post(INFER, content=packed, headers={"Content-Encoding": "gzip"}).status_code == 413

    hurt()
    before = sum(process.memory_info().rss for process in serving(system))
    for _ in range(3):
        hurt()
    after = sum(process.memory_info().rss for process in serving(system))
    assert after < 1.25 * before
    assert client.post(PATH, json=ROWS).status_code == 200


def test_on_term_it_says_so_and_answers_on_until_it_closes(system: System) -> None:
    """Whoever sends no new request to a copy that is not ready sees no error, without ever trying again."""
    statuses: list[int] = []
    failures: list[Exception] = []
    not_ready = threading.Event()

    def probe() -> None:
        while not not_ready.is_set():
            if httpx.get(f"{system.inference_url}/readyz").status_code == 503:
                not_ready.set()
            time.sleep(0.02)

    def load() -> None:
        with asking(system) as client:
            while not not_ready.is_set():
                try:
                    statuses.append(client.post(PATH, json=ROWS).status_code)
                except httpx.HTTPError as error:
                    failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    prober = threading.Thread(target=probe)
    for thread in (*threads, prober):
        thread.start()
    await_true(lambda: len(statuses) > 40)
    system.signal("inference", signal.SIGTERM)
    began = time.monotonic()
    assert not_ready.wait(DRAIN_SECONDS)
    for health in itertools.islice(itertools.cycle(("/readyz", "/v2/health/ready")), 6):
        assert httpx.get(f"{system.inference_url}{health}").json() == {"ready": False}
    late = httpx.post(f"{system.inference_url}{PATH}", json=ROWS, headers={"Authorization": f"Bearer {system.key}"})
    assert (late.status_code, late.headers["connection"]) == (200, "close")
    assert httpx.get(f"{system.inference_url}/v2/health/live").status_code == 200
    for thread in (*threads, prober):
        thread.join()
    assert (set(statuses), failures) == ({200}, [])
    await_true(lambda: not system.alive("inference"))
    assert time.monotonic() - began >= DRAIN_SECONDS * 0.9
    assert list((system.home / "inference").glob("*")) == []
    system.start(["inference"])
    await_served(system)
