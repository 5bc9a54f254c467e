"""Lets the steps of the integration tests work over real HTTP, with real workers that do the jobs."""

import time
from typing import Any

import flask
import flask.testing
from werkzeug.middleware import http_proxy

from api.intake import keys
from shared.jobs import states
from tests.integration import steps
from tests.system.rig import Rig

PATIENCE_SECONDS = 300.0


def client_of(rig: Rig, *, tenant: str) -> flask.testing.FlaskClient:
    """Return Flask's client, for a tenant of its own, whose requests go over HTTP to the system's API.

    Those of MLflow's protocol go to its inference server.
    """
    app = flask.Flask("proxy")
    servers = {"/v1": rig.url, "/mlflow": rig.inference_url}
    targets = {path: {"target": url, "host": url.removeprefix("http://")} for path, url in servers.items()}
    vars(app)["wsgi_app"] = http_proxy.ProxyMiddleware(app.wsgi_app, targets, timeout=60)
    return steps.client_of(app, keys.Keys(rig.databases).create(tenant, scopes=["admin"], tenant_id=tenant))


def await_end(rig: Rig, job: dict[str, Any]) -> str | None:
    """Wait until some worker has done a job; gives the error's class when it failed, as doing it here would."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while not states.State((row := rig.row(job["id"])).state).is_terminal():
        assert time.monotonic() < limit, f"{job['kind']} is {row.state} after {PATIENCE_SECONDS} s"
        time.sleep(0.05)
    error: str | None = row.error_type
    return error
