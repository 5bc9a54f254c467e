"""The API in this process, on SQLite files of its own, with no broker and no worker; and the API over real HTTP."""

import pathlib
import shutil
import types
from collections.abc import Iterator

import flask
import flask.testing
import pytest

from api.intake import keys
from migrations import command_line
from shared import database
from shared.ml import trial_loading
from tests.integration import forked_trials, sample_data
from tests.integration.steps import at_home, client_of, opened
from tests.system_under_test import System

HOLDERS = {
    "admin": {"scopes": ["admin"]},
    "writer": {"scopes": ["write"]},
    "reader": {"scopes": ["read"]},
    "scopeless": {"scopes": []},
    "stranger": {"scopes": ["admin"], "tenant_id": "another"},
    "expired": {"scopes": ["admin"], "days": -1},
    "revoked": {"scopes": ["admin"]},
}


@pytest.fixture(scope="package", autouse=True)
def forked_trial_loading() -> Iterator[None]:
    """Let artifacts be tried in forks, since a new Python takes seconds to load the libraries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial_loading, "subprocess", types.SimpleNamespace(run=forked_trials.run))
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, dict[str, str]]:
    """Make a home with empty databases and a key of every sort, once."""
    home = tmp_path_factory.mktemp("template")
    with at_home(home):
        assert command_line.main(["upgrade", "all"]) == 0
        held = keys.Keys(database.of_process())
        made = {name: held.create(name, **options) for name, options in HOLDERS.items()}  # type: ignore[arg-type]
        assert held.revoke(made["revoked"].split("_")[1])
    return home, made


@pytest.fixture(scope="session")
def populated_template(
    template: tuple[pathlib.Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """Make a home in which every kind of job has been done once."""
    home = tmp_path_factory.mktemp("populated") / "home"
    shutil.copytree(template[0], home)
    with at_home(home), opened() as app:
        sample_data.populate(client_of(app, template[1]["admin"]))
    return home


@pytest.fixture
def keyring(template: tuple[pathlib.Path, dict[str, str]]) -> dict[str, str]:
    """Return the keys by their holders."""
    return template[1]


@pytest.fixture
def home(template: tuple[pathlib.Path, dict[str, str]], tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield an empty home, which this process's settings name."""
    shutil.copytree(template[0], tmp_path / "home")
    with at_home(tmp_path / "home"):
        yield tmp_path / "home"


@pytest.fixture
def app(home: pathlib.Path) -> Iterator[flask.Flask]:
    """Yield the API of an empty home."""
    with opened() as app:
        yield app


@pytest.fixture
def client(app: flask.Flask, keyring: dict[str, str]) -> flask.testing.FlaskClient:
    """Return an administrator's client of the empty home."""
    return client_of(app, keyring["admin"])


@pytest.fixture
def populated_home(populated_template: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a home that has data and models, which this process's settings name."""
    shutil.copytree(populated_template, tmp_path / "populated")
    with at_home(tmp_path / "populated"):
        yield tmp_path / "populated"


@pytest.fixture
def populated_app(populated_home: pathlib.Path) -> Iterator[flask.Flask]:
    """Yield the API of a home that has data and models."""
    with opened() as app:
        yield app


@pytest.fixture
def populated(populated_app: flask.Flask, keyring: dict[str, str]) -> flask.testing.FlaskClient:
    """Return an administrator's client of the home that has data and models."""
    return client_of(populated_app, keyring["admin"])


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield the API over real HTTP, with the embedded broker and no worker."""
    settings = {"MILLRACE_API_THREADS": "8", "MILLRACE_API_WAITS": "8"}
    with System(tmp_path_factory.mktemp("served"), settings=settings) as system:
        system.start(["api"])
        yield system
