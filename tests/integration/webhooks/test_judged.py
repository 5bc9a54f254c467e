"""The library that others wrote for receivers verifies what a webhook gets."""

import base64
import json
import pathlib
import subprocess

import flask.testing
import pytest

from tests import judges
from tests.integration.webhooks.test_webhooks import (  # noqa: F401 - fixtures.
    app,
    happen,
    put,
    receiver,
    sweep,
)
from tests.webhook_receiver import Receiver

pytestmark = [pytest.mark.judge, pytest.mark.timeout(1200)]
_VERIFY = """
import base64, json, sys
from standardwebhooks import Webhook, WebhookVerificationError

for asked in json.load(sys.stdin):
    try:
        event = Webhook(asked["secret"]).verify(base64.b64decode(asked["body"]), asked["headers"])
        print(event["id"])
    except WebhookVerificationError:
        print("refused")
"""


def test_standardwebhooks_verifies_what_we_send_with_each_secret_that_is_valid_and_nothing_else(
    app: flask.Flask,  # noqa: F811
    client: flask.testing.FlaskClient,
    receiver: Receiver,  # noqa: F811
    tmp_path: pathlib.Path,
) -> None:
    first = put(client, "alarms", receiver.url)["secret"]
    second = client.post("/v1/webhooks/alarms/rotate", json={}).get_json()["secret"]
    [event] = happen(app, "job.failed")
    sweep(app)
    [got] = receiver.received
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    asked = [
        {"secret": secret, "body": base64.b64encode(body).decode(), "headers": got.headers}
        for secret, body in (
            (first, got.body),
            (second, got.body),
            (other, got.body),
            (second, got.body.replace(b"training_1", b"training_2")),
        )
    ]
    said = subprocess.run(
        [judges.make_environment("judges"), "-P", "-c", _VERIFY],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    assert said.stdout.split() == [event, event, "refused", "refused"]
