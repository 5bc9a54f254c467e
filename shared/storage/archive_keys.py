"""The keys that archives are signed with: shared by the API, which imports archives, and the role that writes them."""

import base64
import secrets

import sqlalchemy as sa

from shared import clock, database, settings
from shared.storage import tables


def get_or_create(connection: sa.Connection, *, tenant_id: str, config: settings.Settings) -> bytes:
    """Return the key of a tenant's archives: the one in the settings, else the tenant's own, created when missing."""
    configured = config.archive_key.get_secret_value()
    if configured:
        return configured.encode()
    keys = tables.archive_keys
    connection.execute(
        database.insert(connection, keys)
        .values(
            tenant_id=tenant_id,
            secret=base64.b64encode(secrets.token_bytes(32)).decode(),
            created_at=clock.now_ms(),
        )
        .on_conflict_do_nothing()
    )
    secret: str = connection.execute(sa.select(keys.c.secret).where(keys.c.tenant_id == tenant_id)).scalar_one()
    return base64.b64decode(secret)
