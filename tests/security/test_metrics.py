"""Metrics have labels of closed sets only, whatever strangers send, and are shown to this host and to keys alone."""

import ast
import pathlib
import re

import flask
import flask.testing
import pytest
import sqlalchemy as sa
from prometheus_client import parser

from shared import kinds, roles
from shared.jobs import tables
from shared.jobs.states import State
from tests.integration.http.wire import ask, head
from tests.integration.steps import client_of, parts_of, problem_of
from tests.system_under_test import System

Client = flask.testing.FlaskClient
ROOT = pathlib.Path(__file__).parents[2]
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.7"}
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "other"}
LABELS = {"method", "route", "status", "kind", "role", "state", "face", "outcome"}
"""Every label that a metric may have; the values of each are a closed set, which is checked below."""
OF_SERVED = {"tenant", "deployment", "version", "member"}
"""Further ones of the inference server, which has them for what is deployed and nothing else that a client sends."""


def samples(app: flask.Flask) -> list[tuple[str, dict[str, str]]]:
    """List the samples of our own metrics with their labels."""
    text = client_of(app, None).get("/metrics").text
    families = parser.text_string_to_metric_families(text)
    return [
        (sample.name, sample.labels)
        for family in families
        if family.name.startswith("millrace_")
        for sample in family.samples
    ]


def allowed(app: flask.Flask) -> dict[str, set[str]]:
    """List the values that each label may have."""
    return {
        "method": METHODS,
        "route": {"none", *(rule.rule for rule in app.url_map.iter_rules())},
        "status": {str(status) for status in range(200, 600)},
        "kind": {"other", *kinds.by_name()},
        "role": set(roles.ROLES),
        "state": set(State),
    }


def test_whatever_is_sent_labels_stay_within_closed_sets(app: flask.Flask, keyring: dict[str, str]) -> None:
    admin = client_of(app, keyring["admin"])
    admin.get("/healthz")
    before = samples(app)
    for number in range(50):
        for path in ("/v1/jobs", f"/v1/jobs/{number}", "/healthz", f"/nothing/{number}"):
            admin.open(path, method=f"MADE{number}")
            client_of(app, None).open(path, method=f"UP-{number}", headers={"Host": f"host{number}"})
        admin.open("/v1/jobs", method=("get", "Get", "gEt", "PoSt")[number % 4])
        admin.post("/v1/jobs", json={"kind": f"training.made{number}", "params": {}}, headers={"X-Name": str(number)})
        admin.get(f"/v1/datasets/d{number}?limit={number}")
    # Other tests of this process may have added routes.
    found = [sample for sample in samples(app) if sample not in before]
    values = allowed(app)
    for name, labels in found:
        for label, value in labels.items():
            assert label == "le" or value in values[label], (name, labels)
    # A few routes, statuses and one other method; 550 requests with 100 methods were made.
    assert len(found) < 1000


def test_a_kind_that_is_no_longer_installed_is_no_label_of_its_own(app: flask.Flask, keyring: dict[str, str]) -> None:
    client = client_of(app, keyring["admin"])
    job = client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).get_json()
    client.post(f"/v1/jobs/{job['id']}/cancel")
    with parts_of(app).databases["training"].transactions.begin() as connection:
        connection.execute(sa.update(tables.jobs).values(kind="training.removed"))
    assert client.post(f"/v1/jobs/{job['id']}/retry").status_code == 202
    accepted = {labels["kind"] for name, labels in samples(app) if name == "millrace_jobs_accepted_total"}
    assert "training.removed" not in accepted
    assert "other" in accepted


def metrics_in_code() -> list[tuple[str, list[str]]]:
    """List every metric that our code makes: where, and with which labels."""
    found = []
    for folder in ("api", "shared", "sweeper", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and re.fullmatch(
                    r"prometheus_client\.(Counter|Gauge|Histogram|Summary|Info|Enum)", ast.unparse(node.func)
                ):
                    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
                    lists = [ast.literal_eval(one) for one in arguments if isinstance(one, ast.List)]
                    labels = [label for one in lists for label in one if isinstance(label, str)]
                    found.append((f"{path.relative_to(ROOT)}:{node.lineno}", labels))
    return found


def test_every_label_in_the_code_is_one_of_a_closed_set() -> None:
    found = metrics_in_code()
    assert len(found) >= 9
    assert {label for _, labels in found for label in labels} <= LABELS | OF_SERVED
    served = {where.partition(":")[0] for where, labels in found if OF_SERVED & set(labels)}
    assert served <= {"workers/prediction/online/measures.py"}


# Who may see them.


def test_this_host_sees_the_metrics_without_a_key(app: flask.Flask) -> None:
    for address in ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"):
        answer = client_of(app, None).get("/metrics", environ_base={"REMOTE_ADDR": address})
        assert answer.status_code == 200, address
        assert "millrace_http_request_seconds_bucket" in answer.text


@pytest.mark.parametrize(
    "address",
    ["203.0.113.7", "10.0.0.1", "172.17.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "2001:db8::1", "", "localhost", "?"],
)
def test_everybody_else_needs_a_key_that_may_read(app: flask.Flask, keyring: dict[str, str], address: str) -> None:
    away = {"REMOTE_ADDR": address}
    answer = client_of(app, None).get("/metrics", environ_base=away)
    problem_of(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for holder, status in {"reader": 200, "admin": 200, "scopeless": 403, "revoked": 401, "expired": 401}.items():
        headers = {"Authorization": f"Bearer {keyring[holder]}"}
        answer = client_of(app, None).get("/metrics", headers=headers, environ_base=away)
        assert answer.status_code == status, holder


@pytest.mark.parametrize(
    "header",
    [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-For", ""),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("X-Real-IP", "127.0.0.1"),
        ("X-Forwarded-Host", "localhost"),
        ("X-Forwarded-Proto", "https"),
        ("X_Forwarded_For", "127.0.0.1"),
    ],
)
def test_what_a_proxy_on_this_host_passes_on_is_not_from_this_host(
    app: flask.Flask, keyring: dict[str, str], header: tuple[str, str]
) -> None:
    problem_of(client_of(app, None).get("/metrics", headers=[header]), 401)
    assert client_of(app, keyring["reader"]).get("/metrics", headers=[header]).status_code == 200


def test_no_other_route_is_open_to_this_host(app: flask.Flask) -> None:
    problem_of(client_of(app, None).get("/v1/jobs"), 401)
    problem_of(client_of(app, None).get("/v1/services"), 401)


def test_over_http_this_host_is_known_and_a_proxy_is_not(served: System) -> None:
    assert ask(served, head(served, "GET", "/metrics", key=False)).status_code == 200
    assert ask(served, head(served, "GET", "/metrics", "X-Forwarded-For: 127.0.0.1", key=False)).status_code == 401
    assert ask(served, head(served, "GET", "/metrics", "X-Forwarded-For: 127.0.0.1")).status_code == 200


def test_the_document_says_that_a_key_may_be_needed(app: flask.Flask) -> None:
    operation = client_of(app, None).get("/openapi.json").get_json()["paths"]["/metrics"]["get"]
    assert operation["security"] == [{}, {"key": []}]
    assert {"401", "403"} <= set(operation["responses"])
