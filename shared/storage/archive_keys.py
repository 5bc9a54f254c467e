"""What archives are signed with: known to the API, which takes them in, and to the role that makes them."""

import base64
import secrets

import sqlalchemy as sa

from shared import clock, database, settings
from shared.storage import tables


def of_tenant(connection: sa.Connection, *, tenant_id: str, config: settings.Settings) -> bytes:
    """Give what a tenant's archives are signed with: the operator's, or one of the tenant's own, made when needed."""
    given = config.archive_key.get_secret_value()
    if given:
        return given.encode()
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
