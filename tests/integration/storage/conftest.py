"""A home that is stocked with a dataset's, a model's and a feature set's versions."""

import pathlib
import shutil
from collections.abc import Iterator

import flask
import flask.testing
import pytest

from shared.objects import local
from tests.integration import sample_data
from tests.integration.steps import at_home, client_of, opened, parts_of

Client = flask.testing.FlaskClient


@pytest.fixture(scope="session")
def stocked_template(
    template: tuple[pathlib.Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """Make a home with three versions of a dataset, two of a model and a feature set, once."""
    home = tmp_path_factory.mktemp("stocked") / "home"
    shutil.copytree(template[0], home)
    with at_home(home), opened() as app:
        client = client_of(app, template[1]["admin"])
        for rows in (40, 41, 42):
            sample_data.load(client, "things", sample_data.table(rows=rows))
        for path, order in sample_data.ORDERS[:1] + [sample_data.ORDERS[2]] * 2:
            sample_data.done(client, client.post(path, json=order))
    return home


@pytest.fixture
def app(stocked_template: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[flask.Flask]:
    """Yield the API of a stocked home."""
    shutil.copytree(stocked_template, tmp_path / "stocked")
    with at_home(tmp_path / "stocked"), opened() as app:
        yield app


@pytest.fixture
def client(app: flask.Flask, keyring: dict[str, str]) -> Client:
    """Return an administrator's client of the stocked home."""
    return client_of(app, keyring["admin"])


@pytest.fixture
def store(app: flask.Flask) -> local.LocalStore:
    """Return the stocked home's store."""
    objects = parts_of(app).objects
    assert isinstance(objects, local.LocalStore)
    return objects
