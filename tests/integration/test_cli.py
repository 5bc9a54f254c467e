"""The operator's commands for keys."""

import datetime
import os
import pathlib
import subprocess
import sys

import pytest
import sqlalchemy as sa

from api import cli
from shared import database
from shared.catalog import api_tables
from tests import servers
from tests.integration.steps import at_home, client_of, opened, problem_of

Captured = pytest.CaptureFixture[str]


def create(capsys: Captured, *options: str) -> str:
    capsys.readouterr()
    assert cli.main(["keys", "create", *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    return out.strip()


def status(key: str, path: str = "/v1/jobs", *, method: str = "GET") -> int:
    with opened() as app:
        return client_of(app, key).open(path, method=method).status_code


def test_create_prints_the_key_and_nothing_else(home: pathlib.Path, capsys: Captured) -> None:
    key = create(capsys, "--name", "ci", "--scope", "admin")
    assert key.startswith("mr_")
    assert len(key) == 57
    assert status(key) == 200


def test_a_new_key_may_write_and_a_reading_one_may_not(home: pathlib.Path, capsys: Captured) -> None:
    assert status(create(capsys, "--name", "w"), method="POST") == 415
    assert status(create(capsys, "--name", "r", "--scope", "read"), method="POST") == 403


def test_list_shows_no_secret_and_every_state(home: pathlib.Path, keyring: dict[str, str], capsys: Captured) -> None:
    key = create(capsys, "--name", "with\ttab", "--days", "30", "--tenant", "acme")
    assert cli.main(["keys", "list"]) == 0
    out = capsys.readouterr().out
    for secret in (key, *keyring.values()):
        assert secret[-43:] not in out
        assert secret.split("_")[1] in out
    lines = [line.split("\t") for line in out.splitlines()]
    assert {line[4] for line in lines} == {"valid", "expired", "revoked"}
    assert [line[2] for line in lines if line[1] == key.split("_")[1]] == ["acme"]


def test_a_key_bounds_the_priority_of_its_jobs(home: pathlib.Path, keyring: dict[str, str], capsys: Captured) -> None:
    ping = {"kind": "training.ping", "params": {}}
    key = create(capsys, "--name", "low", "--max-priority", "3")
    with opened() as app:
        client = client_of(app, key)
        assert client.post("/v1/jobs", json=ping | {"priority": 3}).status_code == 202
        problem = problem_of(client.post("/v1/jobs", json=ping | {"priority": 4}), 422)
        assert [error["pointer"] for error in problem["errors"]] == ["#/priority"]
        assert "priority 3 at most, not 4" in problem["detail"]
        problem = problem_of(client.post("/v1/jobs/batch", json={"jobs": [ping, ping | {"priority": 9}]}), 422)
        assert [error["pointer"] for error in problem["errors"]] == ["#/jobs/1/priority"]
        assert len(client.get("/v1/jobs").get_json()["jobs"]) == 1
        other = client_of(app, keyring["admin"]).post("/v1/jobs", json=ping | {"priority": 9})
        assert other.status_code == 202
        assert client.post(f"{other.headers['Location']}/cancel").status_code == 202
        problem_of(client.post(f"{other.headers['Location']}/retry"), 422)
        assert client_of(app, keyring["admin"]).post(f"{other.headers['Location']}/retry").status_code == 202
    assert cli.main(["keys", "list"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[3] for line in lines if line[1] == key.split("_")[1]] == ["write,priority<=3"]


NO_TENANTS = [
    "alpha/sub",
    "../x",
    "..",
    ".",
    "",
    "/",
    "alpha/",
    "Alpha",
    "a..b",
    "a b",
    "a\nb",
    "a\0b",
    "*",
    "{tenant}",
    "-x",
    ".staging",
    "ä",
    "a" * 64,
    "x\u202e",
]


@pytest.mark.parametrize("tenant", NO_TENANTS)
def test_a_tenant_is_called_by_the_one_rule(home: pathlib.Path, capsys: Captured, tenant: str) -> None:
    assert cli.main(["keys", "create", "--name", "odd", f"--tenant={tenant}"]) == 1
    said = capsys.readouterr()
    assert "is no name for a tenant; take lower-case letters" in said.err
    assert said.out == ""


@pytest.mark.parametrize("tenant", ["alpha", "alpha-sub", "a.b_c", "0", "a" * 63])
def test_a_tenant_may_be_called_by_that_rule(home: pathlib.Path, capsys: Captured, tenant: str) -> None:
    assert status(create(capsys, "--name", "plain", "--tenant", tenant)) == 200


@pytest.mark.parametrize(("tenant", "wanted"), [("Alpha", 200), ("alpha/sub", 200), ("../x", 403), ("a b", 403)])
def test_a_key_of_an_earlier_release_works_where_its_tenant_s_objects_are_its_own(
    home: pathlib.Path, capsys: Captured, tenant: str, wanted: int
) -> None:
    key = create(capsys, "--name", "old")
    with database.of_process()["api"].transactions.begin() as connection:
        connection.execute(sa.update(api_tables.keys).where(api_tables.keys.c.name == "old").values(tenant_id=tenant))
    assert status(key) == wanted


@pytest.mark.parametrize("by", ["key", "prefix", "id"])
def test_revoke_takes_the_key_its_prefix_or_its_id(home: pathlib.Path, capsys: Captured, by: str) -> None:
    key, other = create(capsys, "--name", "a"), create(capsys, "--name", "b")
    prefix = key.split("_")[1]
    cli.main(["keys", "list"])
    ids = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines() if prefix in line]
    assert cli.main(["keys", "revoke", {"key": key, "prefix": prefix, "id": ids[0]}[by]]) == 0
    assert key[-43:] not in capsys.readouterr().out
    assert (status(key), status(other)) == (401, 200)


@pytest.mark.parametrize("given", ["nothing", "", "mr_aaaaaaaaaa_" + "A" * 43, "key_01JD", "%", "' OR 1=1--"])
def test_revoking_what_is_not_there_is_an_error_and_revokes_nobody(
    home: pathlib.Path, keyring: dict[str, str], capsys: Captured, given: str
) -> None:
    assert cli.main(["keys", "revoke", given]) == 1
    out, err = capsys.readouterr()
    assert (out, "A" * 43 in err) == ("", False)
    assert "no valid key" in err
    assert status(keyring["admin"]) == 200


def test_revoking_twice_is_an_error(home: pathlib.Path, capsys: Captured) -> None:
    key = create(capsys, "--name", "a")
    assert [cli.main(["keys", "revoke", key]) for _ in range(2)] == [0, 1]


def test_a_revoked_key_is_refused_by_an_api_that_has_just_let_it_in(home: pathlib.Path, capsys: Captured) -> None:
    key = create(capsys, "--name", "a")
    with opened() as app:
        client = client_of(app, key)
        assert client.get("/v1/jobs").status_code == 200
        cli.main(["keys", "revoke", key])
        until = datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(seconds=1)
        while client.get("/v1/jobs").status_code == 200:
            assert datetime.datetime.now(tz=datetime.UTC) < until


@pytest.mark.parametrize(
    "line", [["keys"], [], ["keys", "create"], ["keys", "create", "--name", "a", "--scope", "god"]]
)
def test_a_line_that_makes_no_sense_ends_with_two(home: pathlib.Path, line: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(line)
    assert ended.value.code == 2


COMMANDS = [["keys", "create", "--name", "ci"], ["keys", "list"], ["keys", "revoke", "nothing"]]


def told(line: list[str], capsys: Captured) -> str:
    """Run a command that can't work; return the sentence that it says."""
    with pytest.raises(SystemExit) as ended:
        cli.main(line)
    # With a text, Python prints it and exits with 1.
    assert isinstance(ended.value.code, str)
    assert capsys.readouterr().out == ""
    return ended.value.code


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.parametrize("is_empty", [False, True])
def test_a_home_that_is_not_up_is_told_in_a_sentence(
    tmp_path: pathlib.Path, capsys: Captured, line: list[str], is_empty: bool
) -> None:
    if is_empty:
        (tmp_path / "databases").mkdir()
        (tmp_path / "databases" / "api.sqlite3").touch()
    with at_home(tmp_path):
        sentence = told(line, capsys)
    beginning = "The API's database has no tables yet. " if is_empty else "The API has no database here yet. "
    assert sentence.startswith(beginning)
    assert "`make up`" in sentence
    assert sentence.endswith(f" MILLRACE_HOME is {tmp_path}.")


@pytest.mark.parametrize("exists", [True, False])
def test_a_server_without_our_tables_or_database_is_told_in_a_sentence(
    tmp_path: pathlib.Path, capsys: Captured, exists: bool
) -> None:
    try:
        found = servers.find_postgres()
    except servers.ServerNotFoundError as missing:
        if servers.required():
            raise
        pytest.skip(str(missing))
    with found as server, at_home(tmp_path, DATABASE_URL_API=server.create_database()):
        if not exists:
            os.environ["MILLRACE_DATABASE_URL_API"] += "_of_nobody"
        sentence = told(COMMANDS[0], capsys)
    assert sentence.startswith("The API's database has no tables yet." if exists else "The database can't be reached.")


def test_the_program_exits_with_1_and_prints_no_traceback(tmp_path: pathlib.Path) -> None:
    environment = {**os.environ, "MILLRACE_HOME": str(tmp_path / "none")}
    line = [sys.executable, "-m", "api", *COMMANDS[0]]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("The API has no database here yet.")
