"""The keys that archives are signed with: shared by the API, which imports archives, and the role that writes them.

docs/decisions/storage.md, "An archive's key is no row of a database that is a file".
"""

import base64
import hashlib
import pathlib
import secrets

import sqlalchemy as sa

from shared import clock, database, private_files, settings
from shared.storage import tables

_KEY_BYTES = 32


def get_or_create(connection: sa.Connection, *, tenant_id: str, config: settings.Settings) -> bytes:
    """Return the key of a tenant's archives: the one in the settings, else the tenant's own, created when missing."""
    configured = config.archive_key.get_secret_value()
    if configured:
        return configured.encode()
    if connection.dialect.name == "sqlite":
        return _in_home(connection, tenant_id=tenant_id, folder=config.home.resolve() / "secrets")
    return _in_database(connection, tenant_id=tenant_id)


def _in_database(connection: sa.Connection, *, tenant_id: str) -> bytes:
    keys = tables.archive_keys
    connection.execute(
        database.insert(connection, keys)
        .values(
            tenant_id=tenant_id,
            secret=base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode(),
            created_at=clock.now_ms(),
        )
        .on_conflict_do_nothing()
    )
    secret: str = connection.execute(sa.select(keys.c.secret).where(keys.c.tenant_id == tenant_id)).scalar_one()
    return base64.b64decode(secret)


def _in_home(connection: sa.Connection, *, tenant_id: str, folder: pathlib.Path) -> bytes:
    """Return the key in a file of its own, to which the row of an earlier release is moved."""
    # A tenant's name is no path.
    path = folder / f"archive-{hashlib.sha256(tenant_id.encode()).hexdigest()[:32]}"
    if not path.exists():
        keys = tables.archive_keys
        earlier = connection.execute(sa.select(keys.c.secret).where(keys.c.tenant_id == tenant_id)).scalar()
        private_files.create(path, base64.b64decode(earlier) if earlier else secrets.token_bytes(_KEY_BYTES))
        connection.execute(sa.delete(keys).where(keys.c.tenant_id == tenant_id))
    return path.read_bytes()
