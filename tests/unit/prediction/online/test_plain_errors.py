"""Plain errors: on every face the status and title alone, and the detail in the log; detailed ones tell what it is."""

import asyncio
import json
import types
from collections.abc import Iterator
from typing import Any

import pytest
from structlog import testing

from shared import settings
from tests.unit.prediction.online.conftest import Stage
from workers.prediction.online import application
from workers.prediction.online.versions import Version

BAD = {"a": "secret-value", "b": 1.0, "word": "red"}
ROUTES = {
    "/v1/deployments/great/predictions": {"instances": [BAD]},
    "/v2/models/great/infer": {
        "inputs": [{"name": name, "shape": [1], "datatype": "BYTES", "data": [f"{BAD[name]}"]} for name in BAD]
    },
    "/mlflow/great/invocations": {"dataframe_records": [BAD]},
    "/invocations": {"dataframe_records": [BAD]},
}
TOLD = ("secret-value", "'a'", "greatness", "ZeroDivisionError")


class Headers(dict[str, str]):
    """The headers of a request, as granian has them."""


class Protocol:
    """A client that sends a body and keeps what is answered."""

    def __init__(self, body: bytes) -> None:
        """Send a body."""
        self._body = body
        self.answered: tuple[int, dict[str, str], Any] = (0, {}, None)

    async def __call__(self) -> bytes:
        """Send it in one piece."""
        return self._body

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answered = (status, dict(headers), json.loads(body))


class Copy:
    """An inference server without sockets."""

    def __init__(self, stage: Stage) -> None:
        """Serve nothing yet."""
        self._key = stage.key
        self._app = application.Application(settings.load())

    def ask(self, path: str, document: Any) -> tuple[int, dict[str, str], Any]:
        self._app._watch.look()
        body = json.dumps(document).encode()
        protocol = Protocol(body)
        headers = Headers({"authorization": f"Bearer {self._key}", "content-length": f"{len(body)}"})
        scope: Any = types.SimpleNamespace(path=path, method="POST", headers=headers)
        sender: Any = protocol
        asyncio.run(self._app.__rsgi__(scope, sender))
        return protocol.answered


@pytest.fixture
def copy(stage: Stage) -> Iterator[Copy]:
    made = Copy(stage)
    yield made
    made._app._plane.close()


@pytest.mark.parametrize("path", ROUTES)
def test_plain_errors_name_nothing_and_the_log_has_the_detail(stage: Stage, copy: Copy, path: str) -> None:
    stage.deploy(("greatness@1", 1))
    status, headers, detailed = copy.ask(path, ROUTES[path])
    assert status in (400, 422)
    assert "secret-value" in json.dumps(detailed)
    assert "Millrace-Request-Id" not in headers
    stage.deploy(("greatness@1", 1), errors="plain")
    with testing.capture_logs() as logs:
        plain_status, headers, plain = copy.ask(path, ROUTES[path])
    assert plain_status == status
    text = json.dumps(plain)
    assert "The rows don't fit this deployment." in text
    assert not any(word in text for word in TOLD)
    assert {name: plain[name] for name in ("type", "title") if name in plain} == {
        name: detailed[name] for name in ("type", "title") if name in detailed
    }
    [logged] = [entry for entry in logs if entry["event"] == "request_refused"]
    assert logged["request_id"] == headers["Millrace-Request-Id"]
    assert "secret-value" in logged["error"]


def test_a_version_that_fails_is_not_named(stage: Stage, copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_more: Any) -> Any:
        raise ZeroDivisionError

    stage.deploy(("greatness@1", 1), errors="plain")
    copy.ask("/v2/models/great/infer", {})
    monkeypatch.setattr(Version, "predict", fail)
    monkeypatch.setattr(Version, "predict_quickly", fail)
    status, _, document = copy.ask("/v1/deployments/great/predictions", {"instances": [{**BAD, "a": 1.0}]})
    assert (status, document["detail"]) == (500, "The deployment can't answer this request.")
    assert document["title"] == "Bad model"
    for path in ("/v2/models/great/versions/9/infer", "/mlflow/great/nothing"):
        status, _, document = copy.ask(path, {})
        assert (status, "There is no such route or version here." in json.dumps(document)) == (404, True)


def test_why_a_version_is_not_loaded_is_not_told(stage: Stage, copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Version, "__init__", fail)
    stage.deploy(("greatness@1", 1), errors="plain")
    status, _, document = copy.ask("/v2/repository/index", {})
    assert (status, document[0]["reason"]) == (200, "greatness@1: it is not loaded")


def test_other_errors_are_not_the_deployments_and_a_rollback_brings_back_how_they_are_told(
    stage: Stage, copy: Copy
) -> None:
    stage.deploy(("greatness@1", 1), errors="plain")
    status, _, document = copy.ask("/v1/deployments/nobody/predictions", {})
    assert (status, "nobody" in document["detail"]) == (404, True)
    stage.deploy(("greatness@1", 1))
    client = stage.client
    assert client.get("/v1/deployments/great").get_json()["errors"] == "detailed"
    assert client.post("/v1/deployments/great/rollback", json={}).get_json()["errors"] == "plain"
    document = {"routes": [{"model": "greatness@1"}], "errors": "none"}
    assert client.put("/v1/deployments/great", json=document).status_code == 422
