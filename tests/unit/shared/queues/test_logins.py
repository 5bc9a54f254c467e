"""How the logins of RabbitMQ are made: by its management, all of them, as often as it is asked."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from shared import roles
from shared.queues import logins

ADMINISTRATOR = "Basic b3BlcmF0b3I6c2VjcmV0"


class Management(http.server.BaseHTTPRequestHandler):
    """Keeps what it is asked to put, as RabbitMQ's management does."""

    put: dict[str, Any]
    refusals: list[int]

    def do_PUT(self) -> None:
        """Take a document, or refuse it."""
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.refusals.pop() if self.refusals else 201
        if self.headers["Authorization"] != ADMINISTRATOR:
            status = 401
        if status < 300:
            self.put[self.path] = document
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    """Run a management that has nothing yet."""
    Management.put, Management.refusals = {}, []
    with http.server.HTTPServer(("127.0.0.1", 0), Management) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def management(server: http.server.HTTPServer, *, word: str = "secret") -> logins.Management:
    return logins.Management(f"http://operator:{word}@127.0.0.1:{server.server_port}/")


def test_a_login_is_made_with_its_rights_and_no_say_in_the_management(server: http.server.HTTPServer) -> None:
    for _ in range(2):
        management(server).put_login("training", password="word", virtual_host="a/b")
    allowed = logins.LOGINS["training"]
    assert Management.put == {
        "/api/users/training": {"password": "word", "tags": ""},
        "/api/permissions/a%2Fb/training": {
            "configure": allowed.configure,
            "write": allowed.write,
            "read": allowed.read,
        },
    }


def test_a_refusal_ends_it_with_a_sentence_that_shows_no_secret(server: http.server.HTTPServer) -> None:
    with pytest.raises(SystemExit, match=r"answers 401 to users of training\.$"):
        management(server, word="wrong").put_login("training", password="word", virtual_host="v")
    Management.refusals = [500]
    with pytest.raises(SystemExit, match="answers 500"):
        management(server).put_login("training", password="word", virtual_host="v")
    assert Management.put == {}


def test_a_management_that_does_not_come_up_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "_PATIENCE_SECONDS", 0.0)
    with pytest.raises(SystemExit, match="can't be reached") as caught:
        logins.Management("http://operator:secret@127.0.0.1:1").put_login("api", password="word", virtual_host="v")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_role_reads_its_own_queue_alone(role: str) -> None:
    allowed = logins.LOGINS[role]
    hers = [role, f"{role}.123@host.ab12.celery.pidbox"]
    others = [*(set(roles.ROLES) - {role}), f"my{role}", f"{role}s", "millrace.dead", f"x{role}.1@h.a.celery.pidbox"]
    assert all(re.search(allowed.read, name) for name in hers)
    assert not any(re.search(pattern, name) for name in others for pattern in (allowed.read, allowed.configure))
    assert not re.search(allowed.write, "amq.default")


def test_every_service_that_knows_the_broker_has_a_login() -> None:
    assert set(logins.LOGINS) == {"api", "sweeper", "flower", *roles.ROLES}
