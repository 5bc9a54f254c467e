"""The operator's commands for keys."""

import datetime
import pathlib

import pytest

from api import cli
from tests.integration.steps import client_of, opened

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
