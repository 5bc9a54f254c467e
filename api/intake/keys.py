"""API keys: a readable prefix and 256 random bits, of which only the SHA-256 is stored."""

import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import pathlib
import re
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from shared import clock, database, errors, ids, private_files, roles, tenants
from shared.catalog import api_tables

Scope = Literal["read", "write", "admin", "predict", "service"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin", "predict", "service")
"""Each of the first three includes those before it: `read` reads, `write` submits and changes, `admin` does everything.
`predict` asks the inference server for predictions and opens nothing here. `service` acts on behalf of the owner of
another key, with that key's rights, and has none of its own."""

_RANKS: dict[str, int] = {"read": 0, "write": 1, "admin": 2}

_KEY = re.compile(r"^mr_([a-z0-9]{10})_([A-Za-z0-9_-]{43})$")
_FRESH_SECONDS = 0.3
_MAX_CACHED = 10_000
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_keys = api_tables.keys


@dataclasses.dataclass(frozen=True)
class Key:
    """A key as it is stored; only its holder knows the key itself."""

    id: str
    tenant_id: str
    name: str
    prefix: str
    sha256: str
    scopes: Sequence[str]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    max_priority: int | None = None
    """The highest priority that its jobs may have; None: any."""
    is_expired: bool = False

    def allows(self, scope: Scope) -> bool:
        """Return whether the key's scopes include a scope."""
        if scope not in _RANKS:
            return scope in self.scopes
        return any(_RANKS[own] >= _RANKS[scope] for own in self.scopes if own in _RANKS)

    @property
    def is_service(self) -> bool:
        """Whether it acts on behalf of others, and so never in its own name, whatever else its scopes are."""
        return "service" in self.scopes


class Keys:
    """The keys in the API's database."""

    def __init__(self, databases: database.Databases) -> None:
        """Read and write keys in the API's database; what was read is cached for 0.3 s."""
        self._databases = databases
        self._cache: dict[str, tuple[float, Key]] = {}
        self._lock = threading.Lock()

    def check(self, secret: str) -> Key:
        """Find the stored key of a secret; raises UnauthenticatedError, which doesn't say why the key is not valid."""
        match = _KEY.match(secret)
        if match is None:
            raise errors.UnauthenticatedError("The API key is not valid.")
        key = self._find(_keys.c.prefix, match.group(1))
        digest = hashlib.sha256(secret.encode()).hexdigest()
        if key is None or not hmac.compare_digest(digest, key.sha256) or key.revoked_at or key.is_expired:
            raise errors.UnauthenticatedError("The API key is not valid.")
        return key

    def is_valid(self, prefix: str) -> bool:
        """Return whether a key that was valid still is: neither revoked nor expired."""
        key = self._find(_keys.c.prefix, prefix)
        return key is not None and not key.revoked_at and not key.is_expired

    def check_owner(self, key_id: str, *, tenant_id: str) -> Key:
        """Find the key on whose behalf a service acts; raises ForbiddenError, which says why that key may do nothing.

        docs/decisions/pipelines.md, "A run acts with the rights that its owner's key has now".
        """
        key = self._find(_keys.c.id, key_id)
        if key is None or key.tenant_id != tenant_id:
            raise errors.ForbiddenError(f"The tenant {tenant_id[:64]!r} has no key {key_id[:64]!r} to act for.")
        if key.revoked_at or key.is_expired:
            ended, when = ("was revoked", key.revoked_at) if key.revoked_at else ("expired", key.expires_at)
            raise errors.ForbiddenError(
                f"The key {key.id}, on whose behalf this is, {ended} at {clock.to_text(when)}, and may do nothing more."
            )
        if key.is_service:
            raise errors.ForbiddenError(f"The key {key.id} is a service's, and nobody acts on behalf of a service.")
        return key

    def _find(self, column: sa.Column[str], value: str) -> Key | None:
        cached = self._cache.get(value)
        if cached is not None and time.monotonic() - cached[0] < _FRESH_SECONDS:
            return cached[1]
        with database.available(roles.API), self._databases[roles.API].statements.connect() as connection:
            row = connection.execute(sa.select(_keys, _is_expired()).where(column == value)).one_or_none()
        if row is None:
            return None
        key = _from_row(row)
        with self._lock:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[value] = (time.monotonic(), key)
        return key

    def create(
        self,
        name: str,
        *,
        scopes: Sequence[Scope],
        tenant_id: str = "default",
        days: int | None = None,
        max_priority: int | None = None,
    ) -> str:
        """Create a key, and return its secret, which is not stored: this is the only time that it can be read.

        Raises InvalidRequestError when the tenant can't be called so.
        """
        tenants.require_name(tenant_id)
        prefix = "".join(secrets.choice(_ALPHABET) for _ in range(10))
        secret = f"mr_{prefix}_{secrets.token_urlsafe(32)}"
        lifetime = None if days is None else int(datetime.timedelta(days=days).total_seconds() * 1000)
        with self._databases[roles.API].transactions.begin() as connection:
            connection.execute(
                sa.insert(_keys).values(
                    id=f"key_{ids.new_ulid()}",
                    tenant_id=tenant_id,
                    name=name,
                    prefix=prefix,
                    sha256=hashlib.sha256(secret.encode()).hexdigest(),
                    scopes=list(scopes),
                    created_at=clock.now_ms(),
                    expires_at=None if lifetime is None else clock.now_ms() + lifetime,
                    max_priority=max_priority,
                )
            )
        return secret

    def keep_in_file(self, path: pathlib.Path, name: str, *, scopes: Sequence[Scope], **options: Any) -> None:
        """Create a key, and write it into a file for its owner alone, unless the file has a valid one with its scopes.

        `options` are the others of `create`.
        """
        if path.exists():
            with contextlib.suppress(errors.UnauthenticatedError):
                key = self.check(path.read_text(encoding="ascii", errors="replace").strip())
                if list(key.scopes) == list(scopes):
                    return
        private_files.replace(path, f"{self.create(name, scopes=scopes, **options)}\n".encode())

    def revoke(self, prefix_or_id: str) -> bool:
        """Revoke a key forever, by its prefix or id; False when there is no such key, or it was revoked before."""
        with self._databases[roles.API].transactions.begin() as connection:
            revoked = connection.execute(
                sa.update(_keys)
                .where(sa.or_(_keys.c.id == prefix_or_id, _keys.c.prefix == prefix_or_id), _keys.c.revoked_at.is_(None))
                .values(revoked_at=clock.now_ms())
            )
        return revoked.rowcount > 0

    def list_all(self) -> list[Key]:
        """List all keys, the oldest first."""
        with self._databases[roles.API].statements.connect() as connection:
            rows = connection.execute(sa.select(_keys, _is_expired()).order_by(_keys.c.id)).all()
        return [_from_row(row) for row in rows]


def _is_expired() -> sa.Label[bool]:
    return sa.func.coalesce(_keys.c.expires_at <= clock.now_ms(), sa.false()).label("is_expired")


def _from_row(row: sa.Row[Any]) -> Key:
    return Key(**{**row._asdict(), "is_expired": bool(row.is_expired)})
