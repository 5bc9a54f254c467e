"""A poll that is answered before Flask says what Flask would have said, and nothing else is answered there."""

from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa
import werkzeug.test

from api import polls
from shared.jobs import tables
from tests.integration import worker
from tests.integration.steps import down, parts_of
from tests.integration.test_jobs import start, submit

Client = flask.testing.FlaskClient
PLAIN = ("Content-Type", "Content-Length", "ETag", "Retry-After", "X-Content-Type-Options")


def by_flask(client: Client, path: str) -> Any:
    """Ask so that Flask answers: with a condition that nothing meets."""
    return client.get(path, headers={"If-None-Match": '"none"'})


def answered_before_flask(app: flask.Flask, client: Client, path: str, **given: Any) -> bool:
    """Tell whether a request never reaches Flask."""
    builder = werkzeug.test.EnvironBuilder(path, environ_base=client.environ_base, **given)
    before: Any = app.wsgi_app
    assert isinstance(before, polls.PollMiddleware)
    return builder.method == "GET" and before._answer(builder.get_environ()) is not None


@pytest.mark.parametrize("act", [lambda _: None, start, worker.perform], ids=["queued", "running", "succeeded"])
def test_a_poll_says_what_flask_says(app: flask.Flask, client: Client, act: Any) -> None:
    job = submit(client, tags=["a"], priority=3)
    act(job)
    path = job["links"]["self"]
    assert answered_before_flask(app, client, path)
    mine, flasks = client.get(path), by_flask(client, path)
    assert (mine.status_code, mine.data) == (flasks.status_code, flasks.data) == (200, flasks.data)
    assert {name: mine.headers.get(name) for name in PLAIN} == {name: flasks.headers.get(name) for name in PLAIN}
    assert set(dict(mine.headers)) == set(dict(flasks.headers))


def test_a_poll_of_a_job_with_children_says_what_flask_says(app: flask.Flask, client: Client) -> None:
    job = submit(client)
    statements = parts_of(app).databases["training"].statements
    child = submit(client)

    def change(job_id: str, **values: Any) -> None:
        with statements.connect() as connection:
            connection.execute(sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(**values))

    change(job["id"], turns=1)
    change(child["id"], parent_id=job["id"])
    path = job["links"]["self"]
    assert answered_before_flask(app, client, path)
    mine, flasks = client.get(path), by_flask(client, path)
    assert mine.get_json()["children"] == {"queued": 1}
    assert (mine.data, dict(mine.headers)) == (flasks.data, dict(flasks.headers))
    known = {"If-None-Match": mine.headers["ETag"]}
    assert client.get(path, headers=known).status_code == 304
    start(child)
    moved = client.get(path, headers=known)
    assert (moved.status_code, moved.get_json()["children"]) == (200, {"running": 1})


def test_what_is_not_plain_is_flasks(app: flask.Flask, client: Client) -> None:
    path = submit(client)["links"]["self"]
    assert not answered_before_flask(app, client, path, headers={"If-None-Match": '"1"'})
    assert not answered_before_flask(app, client, path, headers={"Prefer": "fail=true"})
    assert not answered_before_flask(app, client, path, query_string="x=1")
    assert not answered_before_flask(app, client, path, data=b"x")
    assert not answered_before_flask(app, client, f"{path}/events")
    assert not answered_before_flask(app, client, f"{path}0")
    assert not answered_before_flask(app, client, "/v1/jobs")


@pytest.mark.parametrize(
    ("holder", "status"), [("stranger", 404), ("scopeless", 403), ("expired", 401), ("revoked", 401), ("nobody", 401)]
)
def test_who_may_not_read_is_told_so_by_flask(
    app: flask.Flask, client: Client, keyring: dict[str, str], holder: str, status: int
) -> None:
    path = submit(client)["links"]["self"]
    other = app.test_client()
    other.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {keyring.get(holder, 'mr_' + 'a' * 54)}"
    assert not answered_before_flask(app, other, path)
    assert other.get(path).status_code == status


def test_a_job_whose_database_is_down_is_flasks_to_explain(app: flask.Flask, client: Client) -> None:
    path = submit(client)["links"]["self"]
    with down(app, "training"):
        assert client.get(path).status_code == 503
    assert client.get(path).status_code == 200
