"""The tables that this copy looks rows up in, each mapped into memory, with the rows that were pushed since."""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from shared import errors
from shared.objects import hostcache, store
from shared.objects.lookups.table import Table
from shared.prediction import overlays

_log = structlog.get_logger()
_RETRY_SECONDS = 10.0
_MAX_READERS = 64
Reader = Callable[[int], list[Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A table as it was published, and what was pushed since."""

    features: str
    """The version of the feature set, as `name@version`."""
    table: Table
    sha256: str
    published_at: int
    """In epoch milliseconds by the database's clock."""
    pushed: tuple[Mapping[bytes, overlays.Row], ...] = ()
    """Rows by the hash of their key, the latest overlay first."""
    overlay_keys: tuple[str, ...] = ()
    _readers: dict[tuple[str, ...], Reader] = dataclasses.field(default_factory=dict, repr=False)
    _found: dict[tuple[str, ...], tuple[str, ...]] = dataclasses.field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Note which columns there are."""
        object.__setattr__(self, "names", frozenset(column.name for column in self.table.layout.columns))

    names: frozenset[str] = dataclasses.field(init=False, default=frozenset())
    """The columns that can be looked up."""

    def list_found(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """List those of some columns that can be looked up."""
        found = self._found.get(wanted)
        if found is None:
            found = tuple(dict.fromkeys(name for name in wanted if name in self.names))
            if len(self._found) < _MAX_READERS:
                self._found[wanted] = found
        return found

    def reader_of(self, names: tuple[str, ...]) -> Reader:
        """Return the function that reads these columns of the row at a position."""
        reader = self._readers.get(names)
        if reader is None:
            reader = self.table.select(names)
            if len(self._readers) < _MAX_READERS:
                self._readers[names] = reader
        return reader

    def find_pushed(self, key_hash: bytes) -> overlays.Row | None:
        """Find what was pushed of a row last."""
        for overlay in self.pushed:
            row = overlay.get(key_hash)
            if row is not None:
                return row
        return None


class Holder:
    """Holds the source that is to be read now, or none before it is there; replaced whole, and read from any thread."""

    def __init__(self) -> None:
        """Hold none."""
        self.source: Source | None = None


class Sources:
    """Follows what the manifest says is published; one thread maps tables, another one takes what was pushed."""

    def __init__(self, objects: store.Store, cache: hostcache.HostCache) -> None:
        """Have nothing yet; tables come from a store, by way of this host's cache."""
        self._objects = objects
        self._cache = cache
        self._wanted: Mapping[str, dict[str, Any]] = {}
        self._holders: dict[str, Holder] = {}
        self._failures: dict[str, tuple[float, str, str]] = {}
        self._lock = threading.Lock()

    def take(self, wanted: Mapping[str, dict[str, Any]]) -> None:
        """Take what a manifest says, by the text that names what is published."""
        with self._lock:
            self._wanted = wanted

    def hold(self, identity: str) -> Holder:
        """Return the holder of what is published under a text."""
        with self._lock:
            return self._holders.setdefault(identity, Holder())

    def explain(self, identity: str) -> str | None:
        """Explain why there is nothing to look rows up in; None when there is."""
        if self.hold(identity).source is not None:
            return None
        if identity not in self._wanted:
            return "it is not published any more"
        failure = self._failures.get(identity)
        return failure[2] if failure else "it is not loaded yet"

    def load_tables(self) -> bool:
        """Map the tables that are published and not mapped yet; returns whether there was one.

        Until a new one is mapped, the one before it is read.
        """
        has_loaded = False
        for identity, entry in list(self._wanted.items()):
            holder = self.hold(identity)
            now = holder.source
            if now is not None and (now.sha256, now.published_at) == (entry["sha256"], entry["published_at"]):
                continue
            if self._may_try(identity, entry):
                has_loaded |= self._load(identity, entry, holder)
        self._forget()
        return has_loaded

    def load_overlays(self) -> None:
        """Read what was pushed into the tables that are mapped."""
        for identity, entry in list(self._wanted.items()):
            holder = self.hold(identity)
            now = holder.source
            keys = tuple(overlay["key"] for overlay in entry["overlays"])
            if now is None or now.overlay_keys == keys or now.published_at != entry["published_at"]:
                continue
            try:
                changed = self._with_overlays(now, keys)
            except (store.DamagedError, FileNotFoundError) as error:
                # The next manifest may have replaced it already.
                _log.warning("pushed_rows_not_read", features=now.features, error=type(error).__name__)
                continue
            with self._lock:
                if holder.source is now:
                    holder.source = changed

    def _load(self, identity: str, entry: Mapping[str, Any], holder: Holder) -> bool:
        hold = hostcache.Hold(self._cache)
        began = time.monotonic()
        features = identity.split("/")[1]
        try:
            path = self._objects.fetch(entry["key"], sha256=entry["sha256"], hold=hold)
            source = Source(features, Table(path), entry["sha256"], entry["published_at"])
            source = self._with_overlays(source, tuple(overlay["key"] for overlay in entry["overlays"]))
        except Exception as error:  # noqa: BLE001 - what can't be mapped leaves what is there.
            reason = error.message if isinstance(error, errors.MillraceError) else type(error).__name__
            self._failures[identity] = (time.monotonic(), entry["sha256"], reason)
            _log.error("features_not_loaded", features=features, error=errors.to_reason(error))
            return False
        finally:
            # What is mapped stays, although its file is gone.
            hold.close()
        self._failures.pop(identity, None)
        with self._lock:
            holder.source = source
        _log.info("features_loaded", features=features, seconds=round(time.monotonic() - began, 3))
        return True

    def _with_overlays(self, source: Source, keys: tuple[str, ...]) -> Source:
        known = dict(zip(reversed(source.overlay_keys), source.pushed, strict=True))
        pushed = [known[key] if key in known else overlays.read(self._objects, key) for key in reversed(keys)]
        return dataclasses.replace(source, pushed=tuple(pushed), overlay_keys=keys)

    def _may_try(self, identity: str, entry: Mapping[str, Any]) -> bool:
        failure = self._failures.get(identity)
        return failure is None or failure[1] != entry["sha256"] or time.monotonic() - failure[0] >= _RETRY_SECONDS

    def _forget(self) -> None:
        """Let go of tables that nothing names any more; who still reads one keeps its holder."""
        with self._lock:
            for identity in set(self._holders) - set(self._wanted):
                del self._holders[identity]
                self._failures.pop(identity, None)
