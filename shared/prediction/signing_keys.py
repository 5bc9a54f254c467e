"""The keys that ids of predictions are signed with: made by the sweeper, and known to all copies by the manifest.

They are rows, so that the API verifies with the keys that copies sign with. A new key signs from the next manifest on,
and the older ones stay good to verify with, because feedback may come after months.
"""

import secrets
from typing import Any

import sqlalchemy as sa

from shared import clock, database
from shared.prediction.tables import prediction_keys

_SECRET_BYTES = 32
_MOST = 256
"""An id has a byte for its key."""


def get_or_create(connection: sa.Connection) -> list[dict[str, Any]]:
    """Read the keys, the one to sign with first; the first time one is made. Each has `id` and `secret` (hex)."""
    keys = _read(connection)
    if not keys:
        _insert(connection, 0)
        keys = _read(connection)
    return keys


def rotate(connection: sa.Connection) -> int:
    """Make another key, which signs from now on; returns its id. After 256 the oldest is replaced."""
    keys = get_or_create(connection)
    new: int = (keys[0]["id"] + 1) % _MOST
    connection.execute(sa.delete(prediction_keys).where(prediction_keys.c.id == new))
    _insert(connection, new)
    return new


def read_secrets(connection: sa.Connection) -> dict[int, bytes]:
    """Read the keys to verify with, by id."""
    return {key["id"]: bytes.fromhex(key["secret"]) for key in _read(connection)}


def _read(connection: sa.Connection) -> list[dict[str, Any]]:
    table = prediction_keys
    rows = connection.execute(sa.select(table.c.id, table.c.secret).order_by(table.c.created_at.desc(), table.c.id))
    return [{"id": row.id, "secret": row.secret} for row in rows]


def _insert(connection: sa.Connection, key_id: int) -> None:
    connection.execute(
        database.insert(connection, prediction_keys)
        .values(id=key_id, secret=secrets.token_hex(_SECRET_BYTES), created_at=clock.now_ms())
        .on_conflict_do_nothing()
    )
