"""The event log over REST: what happened, by filters, in its order, and to nobody else's eyes."""

import datetime
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from api.reads import cursors
from shared import database, roles
from shared.catalog import api_tables
from shared.events import log, types
from sweeper.relay import Relay
from tests.integration import worker
from tests.integration.steps import client_of, problem_of

Client = flask.testing.FlaskClient
PING: dict[str, Any] = {"kind": "training.ping", "params": {}}


def submit(client: Client, *, story: str | None = None, **options: Any) -> dict[str, Any]:
    headers = {} if story is None else {"Millrace-Correlation-Id": story}
    job: dict[str, Any] = client.post("/v1/jobs", json={**PING, **options}, headers=headers).get_json()
    return job


def relay(client: Client) -> None:
    """Work all queued jobs off and relay what was committed, as workers and the sweeper do."""
    for job in client.get("/v1/jobs", query_string={"state": "queued"}).get_json()["jobs"]:
        worker.perform(job)
    for role in roles.ROLES:
        Relay(role, database.of_process()).do()


def list_events(client: Client, **query: Any) -> dict[str, Any]:
    response = client.get("/v1/events", query_string=query)
    assert response.status_code == 200, response.get_data()
    page: dict[str, Any] = response.get_json()
    return page


def subjects(page: dict[str, Any]) -> list[str]:
    return [event["subject"] for event in page["events"]]


def test_the_end_of_a_job_is_an_event_of_its_story(client: Client) -> None:
    told, alone = submit(client, story="nightly:7"), submit(client)
    assert (told["correlation_id"], alone["correlation_id"]) == ("nightly:7", alone["id"])
    relay(client)
    assert client.get(f"/v1/jobs/{told['id']}").get_json()["correlation_id"] == "nightly:7"
    [event] = list_events(client, correlation="nightly:7")["events"]
    assert datetime.datetime.fromisoformat(event.pop("time")).tzinfo is not None
    assert event == {
        "specversion": "1.0",
        "id": f"{told['id']}.ended",
        "source": "/millrace/training",
        "type": "dev.millrace.job.succeeded",
        "subject": told["id"],
        "datacontenttype": "application/json",
        "dataschema": "urn:millrace:event:job.succeeded",
        "correlationid": "nightly:7",
        "millracetenant": "default",
        "data": {"job_id": told["id"], "kind": "training.ping", "state": "succeeded", "attempt": 1},
    }
    assert subjects(list_events(client, correlation=alone["id"])) == [alone["id"]]


def test_a_retry_goes_on_with_the_story_of_the_job_that_it_retries(client: Client) -> None:
    first, second = submit(client), submit(client, story="mine")
    for job in (first, second):
        client.post(f"/v1/jobs/{job['id']}/cancel")
    retries = [client.post(f"/v1/jobs/{job['id']}/retry").get_json() for job in (first, second)]
    assert [retry["correlation_id"] for retry in retries] == [first["id"], "mine"]


@pytest.mark.parametrize("story", ["", "-a", "a b", "a" * 65, "ä", "a/b"])
def test_a_story_that_is_no_id_is_refused_and_tells_what_is_one(client: Client, story: str) -> None:
    headers = {"Millrace-Correlation-Id": story.encode("utf-8").decode("latin-1")}
    problem = problem_of(client.post("/v1/jobs", json=PING, headers=headers), 400)
    assert "1 to 64 letters" in problem["detail"]


def test_the_log_is_followed_by_its_cursor_and_nothing_is_missed(client: Client) -> None:
    before = list_events(client)
    assert before["events"] == []
    jobs = [submit(client)["id"] for _ in range(5)]
    relay(client)
    seen: list[str] = []
    after = before["next"]
    for _ in range(4):
        page = list_events(client, after=after, limit=2)
        seen += subjects(page)
        after = page["next"]
    assert sorted(seen) == sorted(jobs)
    late = submit(client)["id"]
    relay(client)
    assert subjects(list_events(client, after=after)) == [late]


def test_the_newest_events_come_first_where_that_is_asked_for_and_end_at_the_oldest(client: Client) -> None:
    for _ in range(3):
        submit(client)
        relay(client)
    oldest = subjects(list_events(client))
    first = list_events(client, order="newest", limit=2)
    second = list_events(client, order="newest", limit=2, after=first["next"])
    assert subjects(first) + subjects(second) == oldest[::-1]
    assert second["next"] is None


def test_events_are_chosen_by_type_and_subject(client: Client) -> None:
    good, gone = submit(client)["id"], submit(client)["id"]
    client.post(f"/v1/jobs/{gone}/cancel")
    upload = client.post("/v1/datasets/things", data=b"a\n1\n2\n", content_type="text/csv").get_json()["id"]
    relay(client)
    assert subjects(list_events(client, type="job.cancelled")) == [gone]
    assert subjects(list_events(client, type="dev.millrace.dataset.created")) == ["things@1"]
    assert set(subjects(list_events(client, type="job.*"))) == {good, gone, upload}
    both = list_events(client, type="dataset.*,job.cancelled", limit=1)
    rest = list_events(client, type="dataset.*,job.cancelled", after=both["next"])
    assert sorted(subjects(both) + subjects(rest)) == sorted([gone, "things@1"])
    assert subjects(list_events(client, subject="things@1", type="job.*")) == []
    [created] = list_events(client, subject="things@1", type="dataset.*")["events"]
    assert created["correlationid"] == upload, "what a job made belongs to its story"
    assert created["data"] == {"name": "things", "version": 1}


def test_a_change_by_a_request_belongs_to_the_story_of_the_request(populated: Client) -> None:
    relay(populated)
    headers = {"Millrace-Correlation-Id": "release-9"}
    model = "greatness"
    put = populated.put(f"/v1/models/{model}/aliases/tried", json={"version": 1}, headers=headers)
    assert put.status_code == 200
    other = populated.put(f"/v1/models/{model}/aliases/untold", json={"version": 1})
    assert other.status_code == 200
    relay(populated)
    assert subjects(list_events(populated, correlation="release-9")) == [f"{model}@tried"]
    [event] = list_events(populated, subject=f"{model}@untold")["events"]
    assert event["correlationid"] == event["id"]


def test_every_event_that_was_ever_told_is_of_a_known_type_and_has_the_data_of_its_schema(
    populated: Client,
) -> None:
    alias = "/v1/models/greatness/aliases/tried"
    answers = [
        populated.put(alias, json={"version": 1}),
        populated.put("/v1/deployments/great", json={"routes": [{"model": "greatness@1", "weight": 100}]}),
        populated.delete(alias),
        populated.delete("/v1/datasets/things/versions/2"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 204, 204]
    relay(populated)
    page = list_events(populated, limit=1000)
    assert len({event["type"] for event in page["events"]}) >= 9
    for event in page["events"]:
        types.TYPES[event["type"].removeprefix("dev.millrace.")].data.model_validate(event["data"])


def test_nobody_sees_the_events_of_another_tenant(app: flask.Flask, client: Client, keyring: dict[str, str]) -> None:
    job = submit(client, story="ours")
    relay(client)
    stranger = client_of(app, keyring["stranger"])
    for query in ({}, {"correlation": "ours"}, {"subject": job["id"]}, {"type": "job.*"}, {"order": "newest"}):
        assert subjects(list_events(client, **query)) == [job["id"]]
        assert list_events(stranger, **query)["events"] == []


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"type": "job.suceeded"}, 422, "did you mean 'job.succeeded'"),
        ({"type": "nothing.*"}, 422, "no type of event"),
        ({"after": "x"}, 400, "cursor"),
        ({"subject": "a\tb"}, 422, "#/subject"),
        ({"correlation": "\n"}, 422, "#/correlation"),
        ({"limit": "0"}, 422, "greater than or equal to 1"),
        ({"order": "random"}, 422, "'oldest' or 'newest'"),
    ],
)
def test_what_is_no_filter_is_refused_with_what_is_one(
    client: Client, query: dict[str, str], status: int, said: str
) -> None:
    problem = problem_of(client.get("/v1/events", query_string=query), status)
    assert said in f"{problem['detail']} {problem.get('errors')}"


def test_a_cursor_behind_which_events_were_deleted_is_gone_and_not_passed_over(client: Client) -> None:
    first = list_events(client)["next"]
    submit(client)
    relay(client)
    heads = api_tables.event_heads
    with database.of_process()[roles.API].transactions.begin() as connection:
        connection.execute(sa.update(heads).where(heads.c.name == "pruned").values(position=1))
    problem = problem_of(client.get("/v1/events", query_string={"after": first}), 410)
    assert "without `after`" in problem["detail"]
    assert list_events(client)["next"] != first


def test_what_is_logged_while_types_are_read_is_left_for_the_next_page(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = submit(client)["id"]
    relay(client)
    begun = list_events(client, type="job.*,dataset.*")
    upload = client.post("/v1/datasets/things", data=b"a\n1\n2\n", content_type="text/csv").get_json()["id"]
    relay(client)
    with monkeypatch.context() as patch:
        # The page was asked for before the last two events, and reads each type by a statement of its own.
        seen = cursors.unpack(begun["next"], pattern="[0-9]+")
        patch.setattr(log, "last_position", lambda _connection: int(seen or 0))
        page = list_events(client, type="job.*,dataset.*")
    assert subjects(page) == [first]
    assert sorted(subjects(list_events(client, type="job.*,dataset.*", after=page["next"]))) == sorted(
        [upload, "things@1"]
    )


def test_every_type_of_event_is_listed_with_its_schema(client: Client) -> None:
    listed = client.get("/v1/event-types").get_json()["event_types"]
    assert [one["type"] for one in listed] == [f"dev.millrace.{name}" for name in types.TYPES]
    assert all(one["data_schema"]["properties"] for one in listed)
