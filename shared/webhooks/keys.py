"""The keys of tenants, from which the secrets of their webhooks are computed: the API shows them, the sweeper signs.

docs/decisions/webhooks.md, "A webhook's secret is computed, and stands in no row".
"""

import base64
import hashlib
import hmac
import secrets

import sqlalchemy as sa

from shared import clock, database, private_files, settings
from shared.catalog import api_tables

_KEY_BYTES = 32


def get_or_create(connection: sa.Connection, *, tenant_id: str, config: settings.Settings) -> bytes:
    """Return a tenant's key: made of the one in the settings, else the tenant's own, created when missing."""
    configured = config.webhook_key.get_secret_value()
    if configured:
        return hmac.digest(configured.encode(), f"webhooks of {tenant_id}".encode(), "sha256")
    if connection.dialect.name == "sqlite":
        # A tenant's name is no path.
        name = f"webhooks-{hashlib.sha256(tenant_id.encode()).hexdigest()[:32]}"
        path = config.home.resolve() / "secrets" / name
        if not path.exists():
            private_files.create(path, secrets.token_bytes(_KEY_BYTES))
        return path.read_bytes()
    return _in_database(connection, tenant_id=tenant_id)


def _in_database(connection: sa.Connection, *, tenant_id: str) -> bytes:
    keys = api_tables.webhook_keys
    query = sa.select(keys.c.secret).where(keys.c.tenant_id == tenant_id)
    secret: str | None = connection.execute(query).scalar()
    if secret is None:
        new = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        connection.execute(
            database.insert(connection, keys)
            .values(tenant_id=tenant_id, secret=new, created_at=clock.now_ms())
            .on_conflict_do_nothing()
        )
        secret = connection.execute(query).scalar_one()
    return base64.b64decode(secret)
