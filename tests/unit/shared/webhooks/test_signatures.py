"""Signatures are those of Standard Webhooks, and secrets stand nowhere."""

import base64
import pathlib

import pytest
import sqlalchemy as sa

from shared import database, settings
from shared.catalog import api_tables
from shared.webhooks import keys, signatures


def test_the_example_of_the_standards_own_libraries_is_signed_as_they_sign_it() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signatures.sign(
        b'{"test": 2432232314}',
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        secrets=[secret],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_has_32_bytes_and_is_another_for_each_tenant_webhook_and_salt() -> None:
    texts = {
        signatures.to_text(signatures.compute_secret(key, webhook_id=webhook, salt=salt))
        for key in (b"a" * 32, b"b" * 32)
        for webhook in ("1", "2")
        for salt in ("x", "y")
    }
    assert len(texts) == 8
    assert {len(base64.b64decode(text.removeprefix("whsec_"), validate=True)) for text in texts} == {32}


@pytest.mark.parametrize("configured", ["", "the operator's"])
def test_a_key_is_the_same_at_every_process_and_another_for_each_tenant(
    engines: database.Engines, tmp_path: pathlib.Path, configured: str
) -> None:
    config = settings.Settings(home=tmp_path, webhook_key=configured)
    with engines.transactions.begin() as connection:
        key = keys.get_or_create(connection, tenant_id="acme", config=config)
        assert keys.get_or_create(connection, tenant_id="acme", config=config) == key
        assert keys.get_or_create(connection, tenant_id="../acme", config=config) != key
        stored = connection.execute(sa.select(sa.func.count()).select_from(api_tables.webhook_keys)).scalar_one()
    assert len(key) == 32
    files = sorted((tmp_path / "secrets").glob("*")) if (tmp_path / "secrets").exists() else []
    is_file = engines.transactions.dialect.name == "sqlite"
    assert (stored, len(files)) == ((0, 0) if configured else (0, 2) if is_file else (2, 0))
    assert {file.stat().st_mode & 0o777 for file in files} <= {0o600}
