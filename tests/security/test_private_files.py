"""What a home holds is for its own user alone."""

import pathlib
import stat

import pytest
import sqlalchemy as sa

from shared import clock, database, settings
from shared.storage import archive_keys, tables
from tests.system_under_test import System


def test_no_other_user_can_read_what_is_in_a_home(tmp_path: pathlib.Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    with System(home) as system:
        system.start(["api", "sweeper", "ingestion"])
        answer = system.client.post(
            "/v1/datasets/d", content=b"a\n1\n", headers={"Content-Type": "text/csv", "Prefer": "wait=30"}
        )
        assert answer.json()["state"] == "succeeded"
        # The tests write the logs themselves.
        open_to_others = [
            path
            for path in [home, *home.rglob("*")]
            if path.suffix != ".log" and stat.S_IMODE(path.lstat().st_mode) & 0o077
        ]
        assert open_to_others == []


@pytest.mark.usefixtures("home")
def test_a_key_is_a_file_of_its_own_and_that_of_an_earlier_release_is_moved() -> None:
    config, keys = settings.load(), tables.archive_keys
    with database.of_process()["storage"].statements.connect() as connection:
        connection.execute(sa.insert(keys).values(tenant_id="old", secret="c2VjcmV0", created_at=clock.now_ms()))
        assert archive_keys.get_or_create(connection, tenant_id="old", config=config) == b"secret"
        new = archive_keys.get_or_create(connection, tenant_id="../new", config=config)
        assert len(new) == 32
        assert archive_keys.get_or_create(connection, tenant_id="../new", config=config) == new
        assert archive_keys.get_or_create(connection, tenant_id="old", config=config) == b"secret"
        assert connection.execute(sa.select(keys)).all() == []
    files = list((config.home / "secrets").iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
