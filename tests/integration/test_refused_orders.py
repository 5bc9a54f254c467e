"""What names and types of the pinned data rule out is refused by the API, at its field, in the worker's words."""

import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import flask.testing
import pytest
import sqlalchemy as sa

from api.intake.submit import Submitter
from shared import database, roles
from shared.catalog import api_tables
from shared.jobs import tables
from tests.integration import refused_orders, sample_data, worker
from tests.integration.steps import at_home, client_of, opened, problem_of

Client = flask.testing.FlaskClient
Template = tuple[pathlib.Path, dict[str, str]]
TRAIN = refused_orders.TRAIN


@pytest.fixture(scope="module")
def stocked(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a client of a home with the datasets, feature sets and models that the orders name."""
    home = tmp_path_factory.mktemp("stocked") / "home"
    shutil.copytree(template[0], home)
    with at_home(home), opened() as app:
        client = client_of(app, template[1]["admin"])
        refused_orders.stock(client)
        yield client


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every order through to the worker."""
    monkeypatch.setattr(Submitter, "_check_pinned", lambda *_, **__: None)


def rows() -> tuple[int, int]:
    """Count the jobs of all roles, and the names of datasets that were asked for."""
    jobs = 0
    for role in roles.ROLES:
        with database.of_process()[role].statements.connect() as connection:
            jobs += connection.execute(sa.select(sa.func.count()).select_from(tables.jobs)).scalar_one()
    with database.of_process()[roles.API].statements.connect() as connection:
        names = connection.execute(sa.select(sa.func.count()).select_from(api_tables.dataset_names)).scalar_one()
    return jobs, names


def ask(client: Client, kind: str, params: dict[str, Any], **headers: str) -> Any:
    """Submit an order, with an Idempotency-Key if one is given."""
    return client.post("/v1/jobs", json={"kind": kind, "params": params}, headers=headers)


@pytest.mark.parametrize(("kind", "params", "place", "told"), refused_orders.REFUSED)
def test_what_the_pinned_data_can_not_do_is_refused_at_its_field_and_leaves_nothing(
    stocked: Client, kind: str, params: dict[str, Any], place: str, told: str
) -> None:
    before = rows()
    document = problem_of(ask(stocked, kind, params), 422)
    [found] = document["errors"]
    assert found["pointer"] == f"#/params/{place}"
    assert told in found["detail"]
    assert found["detail"] in document["detail"]
    assert rows() == before


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("kind", "params", "place", "told"), refused_orders.REFUSED)
def test_the_worker_refuses_the_same_in_the_same_words(
    stocked: Client, kind: str, params: dict[str, Any], place: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = ask(stocked, kind, params)
    assert worker.perform(accepted.get_json()) is not None
    error = stocked.get(accepted.headers["Location"]).get_json()["error"]
    monkeypatch.undo()
    [found] = problem_of(ask(stocked, kind, params), 422)["errors"]
    assert found["detail"] == error["message"]


@pytest.mark.parametrize(("kind", "params"), refused_orders.ACCEPTED)
def test_what_the_worker_can_do_is_let_through(stocked: Client, kind: str, params: dict[str, Any]) -> None:
    sample_data.done(stocked, ask(stocked, kind, params))


@pytest.mark.parametrize(
    ("path", "order", "pointer"),
    [
        ("/v1/models/pupil", {**refused_orders.LEARNER, "target": "grate"}, "#/target"),
        ("/v1/models/learner/versions/1/updates", {"dataset": "untargeted@1"}, "#/dataset"),
        ("/v1/features/shape/apply", {"dataset": "few@1"}, "#/dataset"),
    ],
)
def test_the_pointer_is_into_the_body_of_the_route_that_was_asked(
    stocked: Client, path: str, order: dict[str, Any], pointer: str
) -> None:
    [found] = problem_of(stocked.post(path, json=order), 422)["errors"]
    assert found["pointer"] == pointer


def test_one_such_order_refuses_its_whole_batch(stocked: Client) -> None:
    before = rows()
    jobs = [{"kind": "training.fit", "params": {**TRAIN, "target": target}} for target in ("great", "grate")]
    [found] = problem_of(stocked.post("/v1/jobs/batch", json={"jobs": jobs}), 422)["errors"]
    assert found["pointer"] == "#/jobs/1/params/target"
    assert rows() == before


def test_a_repeated_request_gets_its_job_whatever_latest_means_by_now(stocked: Client) -> None:
    sample_data.load(stocked, "turning")
    order = {**TRAIN, "dataset": "turning@latest"}
    batch = {"jobs": [{"kind": "training.fit", "params": order}]}
    keyed = {"Idempotency-Key": "k"}
    first = ask(stocked, "training.fit", order, **keyed)
    first_batch = stocked.post("/v1/jobs/batch", json=batch, headers=keyed)
    sample_data.load(stocked, "turning", refused_orders.table(["a", "b"]))
    assert ask(stocked, "training.fit", order, **keyed).get_json()["id"] == first.get_json()["id"]
    again = stocked.post("/v1/jobs/batch", json=batch, headers=keyed)
    assert again.get_json()["jobs"][0]["id"] == first_batch.get_json()["jobs"][0]["id"]
    other = problem_of(ask(stocked, "training.fit", {**order, "seed": 1}, **keyed), 422)
    assert other["type"] == "urn:millrace:problem:idempotency-mismatch"
    [found] = problem_of(ask(stocked, "training.fit", order, **{"Idempotency-Key": "another"}), 422)["errors"]
    assert found["pointer"] == "#/params/target"


@pytest.mark.usefixtures("unchecked")
def test_a_retry_keeps_its_pins_and_is_not_asked_again(stocked: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = ask(stocked, "training.fit", {**TRAIN, "target": "grate"})
    assert worker.perform(accepted.get_json()) == "BadDataError"
    monkeypatch.undo()
    assert stocked.post(f"{accepted.headers['Location']}/retry").status_code == 202


def test_a_recipe_that_takes_long_to_follow_is_left_to_the_worker(
    stocked: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.recipe.compatibility.API_MAX_COLUMNS", 2)
    order = {**TRAIN, "recipe": refused_orders.scale("c")}
    accepted = ask(stocked, "training.fit", order)
    assert accepted.status_code == 202
    assert worker.perform(accepted.get_json()) == "BadRecipeError"
