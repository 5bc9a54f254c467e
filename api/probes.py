"""Whether what the API needs can be written: found out by writing a little, and remembered for some seconds.

docs/decisions/faults.md, "Readiness writes".
"""

import math
import threading
import time
from collections.abc import Callable

from shared import database, roles
from shared.objects import store

_LIMIT_SECONDS = 5.0


class Probes:
    """Writes a little into each database and into the object store, however many ask, once in a few seconds."""

    def __init__(self, databases: database.Databases, objects: store.Store, *, fresh_seconds: float = 5.0) -> None:
        """Write nothing yet; a success counts for `fresh_seconds`, a failure for a fifth of that."""
        self.fresh_seconds = fresh_seconds
        self._probes = {f"database.{name}": _Probe(_writer(databases, name)) for name in roles.STORES}
        self._probes["storage"] = _Probe(objects.check)

    def check(self, name: str) -> None:
        """Raise what a write into `database.<store>` or `storage` raised, or TimeoutError when it takes too long."""
        error = self._probes[name].run(fresh_seconds=self.fresh_seconds)
        if error is not None:
            raise error


class OneAtATime:
    """A costly answer that anybody may ask for: one thread makes it, and others get the latest instead of waiting."""

    def __init__(self, make: Callable[[], dict[str, str]]) -> None:
        """Make nothing yet."""
        self._make = make
        self._making = threading.Lock()
        self._latest: dict[str, str] | None = None

    def get(self) -> dict[str, str]:
        """Make the answer; where another thread is making it, return the one before, or wait if there is none."""
        if not self._making.acquire(blocking=self._latest is None):
            return self._latest or {}
        try:
            self._latest = self._make()
            return self._latest
        finally:
            self._making.release()


class _Probe:
    """One write, in a thread of its own, because what hangs must hang nobody who asks."""

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._error: Exception | None = None
        self._ended_at = -math.inf
        self._ended = threading.Event()
        self._ended.set()
        self._lock = threading.Lock()

    def run(self, *, fresh_seconds: float) -> Exception | None:
        """Return how the last write ended; another is begun if that was too long ago and none is under way."""
        with self._lock:
            keep_seconds = fresh_seconds if self._error is None else fresh_seconds / 5
            if self._ended.is_set() and time.monotonic() - self._ended_at >= keep_seconds:
                self._ended.clear()
                threading.Thread(target=self._run, name="probe", daemon=True).start()
        if not self._ended.wait(_LIMIT_SECONDS):
            return TimeoutError(f"a write took more than {_LIMIT_SECONDS:g} s")
        return self._error

    def _run(self) -> None:
        try:
            self._write()
            self._error = None
        except Exception as error:  # noqa: BLE001 - whatever a write raises is the answer.
            self._error = error
        self._ended_at = time.monotonic()
        self._ended.set()


def _writer(databases: database.Databases, name: str) -> Callable[[], None]:
    def write() -> None:
        engine = databases[name].transactions
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                # A number that SQLite keeps for its users in the file's header. It would not write what is there.
                connection.exec_driver_sql(f"PRAGMA user_version = {time.time_ns() % 2**31}")
            else:
                # The only row of a table that every database has; PostgreSQL writes it anew, and in its place.
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")

    return write
