"""Plays a search on its own: its turns and its trials one after another, as one worker would."""

from typing import Any

import flask.testing

from tests.integration import worker

ENDS = ("succeeded", "failed", "cancelled", "dead")


def start(client: flask.testing.FlaskClient, name: str, order: dict[str, Any]) -> dict[str, Any]:
    """Submit a search and take its first turn."""
    accepted = client.post(f"/v1/models/{name}", json=order)
    assert accepted.status_code == 202, accepted.text
    job: dict[str, Any] = accepted.get_json()
    assert job["kind"] == "training.search"
    worker.perform(job)
    return show(client, job)


def show(client: flask.testing.FlaskClient, job: dict[str, Any]) -> dict[str, Any]:
    """Read a job."""
    document: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}").get_json()
    return document


def trials(client: flask.testing.FlaskClient, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Read a search's trials, by their numbers."""
    listed = client.get("/v1/jobs?kind=training.trial&limit=100").get_json()["jobs"]
    own = [each for each in listed if each["links"]["parent"].endswith(job["id"])]
    return sorted(own, key=lambda each: each["params"]["trial"])


def play(client: flask.testing.FlaskClient, name: str, order: dict[str, Any]) -> dict[str, Any]:
    """Do a search to its end."""
    return go_on(client, start(client, name, order))


def go_on(client: flask.testing.FlaskClient, job: dict[str, Any]) -> dict[str, Any]:
    """Do what is left of a search, a trial and a turn by turns."""
    while (job := show(client, job))["state"] not in ENDS:
        waiting = [each for each in trials(client, job) if each["state"] == "queued"]
        assert waiting, job
        worker.perform(waiting[0])
        worker.perform(job)
    return job
