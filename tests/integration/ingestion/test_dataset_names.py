"""A dataset's name belongs to one role: no other role's job is let in that would make a version of it."""

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from api.intake import dataset_names, deletion
from api.reads import kept
from shared import clock, database, errors, roles
from shared.catalog import api_tables, datasets, mirror
from shared.jobs import outbox, tables
from tests.integration import sample_data
from tests.integration.steps import down, problem_of


def refuse(*names: str, role: str, tenant_id: str = "default") -> None:
    """Ask as the API does when it accepts a job of a role."""
    dataset_names.reserve(names, role=role, tenant_id=tenant_id, databases=database.of_process())


@pytest.mark.parametrize(
    ("name", "role", "keeper"),
    [
        ("things", "processing", "ingestion"),
        ("things", "prediction", "ingestion"),
        ("shaped", "ingestion", "processing"),
        ("guesses", "ingestion", "prediction"),
    ],
)
def test_a_name_of_another_role_is_refused(
    populated: flask.testing.FlaskClient, name: str, role: str, keeper: str
) -> None:
    with pytest.raises(errors.ConflictError, match=f"'{name}': the role {keeper} keeps versions of it"):
        refuse("new", name, role=role)
    refuse(name, role=keeper)
    refuse(name, role=role, tenant_id="another")


def let_time_pass(*, asked_at: int | sa.ColumnElement[int] = 1) -> None:
    """Let all names have been asked for long ago."""
    with database.of_process()[roles.API].transactions.begin() as connection:
        connection.execute(sa.update(api_tables.dataset_names).values(asked_at=asked_at))


def test_a_name_is_free_again_when_its_versions_are_deleted(populated: flask.testing.FlaskClient) -> None:
    assert populated.delete("/v1/datasets/shaped/versions/1").status_code == 204
    # The home was populated when the first test needed it, which may be long ago.
    let_time_pass(asked_at=clock.now_ms())
    with pytest.raises(errors.ConflictError, match="reserved it a moment ago"):
        refuse("shaped", role="ingestion")
    let_time_pass()
    refuse("shaped", role="ingestion")


def test_a_name_that_nobody_has_goes_to_the_role_whose_job_is_accepted_first(
    populated: flask.testing.FlaskClient,
) -> None:
    predict = {"model": "greatness@1", "dataset": "things@1", "name": "fresh"}
    first = populated.post("/v1/predictions", json=predict)
    assert first.status_code == 202
    let_time_pass()
    load = {"data": sample_data.table(rows=5), "content_type": "text/csv"}
    problem = problem_of(populated.post("/v1/datasets/fresh", **load), 409)
    assert "a job of the role prediction that has not ended may make it" in problem["detail"]
    assert populated.post("/v1/predictions", json=predict).status_code == 202, "it is the role's own"
    for job in populated.get("/v1/jobs?state=queued").get_json()["jobs"]:
        populated.post(f"/v1/jobs/{job['id']}/cancel")
    let_time_pass()
    assert populated.post("/v1/datasets/fresh", **load).status_code == 202


def test_a_job_that_is_refused_takes_no_name(populated: flask.testing.FlaskClient) -> None:
    predict = {"model": "nobody@1", "dataset": "things@1", "name": "fresh"}
    problem_of(populated.post("/v1/predictions", json=predict), 422)
    refuse("fresh", role="ingestion")


def test_a_retry_is_refused_once_another_role_has_the_name(populated: flask.testing.FlaskClient) -> None:
    predict = {"model": "greatness@1", "dataset": "things@1", "name": "fresh"}
    job = populated.post("/v1/predictions", json=predict).get_json()["id"]
    populated.post(f"/v1/jobs/{job}/cancel")
    let_time_pass()
    sample_data.load(populated, "fresh")
    problem_of(populated.post(f"/v1/jobs/{job}/retry"), 409)


def test_a_job_that_takes_in_an_archive_may_make_any_name_of_its_role(populated: flask.testing.FlaskClient) -> None:
    exported = sample_data.done(
        populated, populated.post("/v1/storage/export", json={"what": "dataset", "name": "shaped"})
    )
    sent = populated.get(f"/v1/storage/archives/{exported['result']['archive']['id']}/content").data
    populated.delete("/v1/datasets/shaped/versions/1")
    populated.post("/v1/storage/import", data=sent, content_type="application/x-tar")
    let_time_pass()
    with pytest.raises(errors.ConflictError, match="has not ended"):
        refuse("shaped", role="ingestion")


def test_the_catalogue_answers_for_a_role_whose_database_is_down(
    populated: flask.testing.FlaskClient, populated_app: flask.Flask
) -> None:
    pin = {"name": "shaped", "version": 1, "pin": {}}
    event = outbox.OutgoingEvent("1", "default", "dataset.created", "shaped@1", pin, 1, "1")
    with database.of_process()[roles.API].transactions.begin() as connection:
        mirror.note(connection, event, role="processing")
    with down(populated_app, "processing"):
        with pytest.raises(errors.ConflictError, match="the role processing keeps versions of it"):
            refuse("shaped", role="ingestion")
        refuse("new", role="ingestion")


@pytest.mark.usefixtures("populated_home")
def test_a_version_that_two_delete_at_once_is_deleted_once() -> None:
    databases = database.of_process()
    [place, *_] = kept.places_of_type("dataset")
    with databases["ingestion"].transactions.begin() as connection:
        row = connection.execute(sa.select(datasets.VERSIONS).where(datasets.VERSIONS.c.version == 1)).one()
        connection.execute(sa.delete(tables.outbox))
    deletion.delete(databases, place, row)
    forget_time = sa.update(datasets.VERSIONS).where(datasets.VERSIONS.c.deleted_at.isnot(None)).values(deleted_at=1)
    with databases["ingestion"].transactions.begin() as connection:
        connection.execute(forget_time)
    deletion.delete(databases, place, row)
    with databases["ingestion"].statements.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.outbox)).scalar() == 1
        assert connection.execute(sa.select(sa.func.min(datasets.VERSIONS.c.deleted_at))).scalar() == 1
