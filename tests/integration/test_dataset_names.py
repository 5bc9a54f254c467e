"""A dataset's name belongs to one role: no other role's job is let in that would make a version of it."""

import flask
import flask.testing
import pytest

from shared import catalog, database, datasets, errors, outbox, roles
from tests.integration.steps import down


def refuse(*names: str, role: str, tenant_id: str = "default") -> None:
    """Ask as the door does when it accepts a job of a role."""
    datasets.refuse_taken(names, role=role, tenant_id=tenant_id, databases=database.of_process())


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
    furnished: flask.testing.FlaskClient, name: str, role: str, keeper: str
) -> None:
    with pytest.raises(errors.ConflictError, match=f"'{name}' is kept by the role {keeper}"):
        refuse("new", name, role=role)
    refuse(name, role=keeper)
    refuse(name, role=role, tenant_id="another")


def test_a_name_is_free_again_when_its_versions_are_deleted(furnished: flask.testing.FlaskClient) -> None:
    assert furnished.delete("/v1/datasets/shaped/versions/1").status_code == 204
    refuse("shaped", role="ingestion")


def test_the_catalogue_answers_for_a_role_whose_database_is_down(
    furnished: flask.testing.FlaskClient, furnished_app: flask.Flask
) -> None:
    pin = {"name": "shaped", "version": 1, "pin": {}}
    event = outbox.Outgoing("1", "default", "dataset.created", "shaped@1", pin, 1)
    with database.of_process()[roles.DOOR].transactions.begin() as connection:
        catalog.note(connection, event, role="processing")
    with down(furnished_app, "processing"):
        with pytest.raises(errors.ConflictError, match="kept by the role processing"):
            refuse("shaped", role="ingestion")
        refuse("new", role="ingestion")
