"""Models that nobody has deployed: the latest version of each is loaded when it is asked for, within bounds of memory.

docs/decisions/serving.md, "A model's name is loaded when it is asked for"
"""

import asyncio
import collections
import concurrent.futures
import threading
import time
from collections.abc import Mapping
from typing import Any

import psutil
import structlog

from shared import errors
from shared.objects import hostcache, store
from shared.prediction import deployments, manifests, shares
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.versions import Version

_log = structlog.get_logger()
_RETRY_SECONDS = 10.0
"""After how long a model that could not be loaded is tried again."""
_WAIT_SECONDS = 20.0
"""How long a request waits for its model to be loaded."""
_MAX_WAITING = 1000
"""Requests that may wait for models to be loaded; more are refused."""
Key = tuple[str, str]


class LoadingError(errors.UnavailableError):
    """The model is being loaded; try again in a moment."""


class OnDemand:
    """The latest versions of models, as far as they were asked for and fit into memory; loaded by one thread."""

    def __init__(self, objects: store.Store, cache: hostcache.HostCache, *, max_bytes: int) -> None:
        """Load nothing yet; versions come from a store, by way of this host's cache."""
        self._objects = objects
        self._cache = cache
        self._max_bytes = max_bytes
        self._latest: Mapping[str, dict[str, Any]] = {}
        self._loaded: collections.OrderedDict[Key, tuple[Deployed, int]] = collections.OrderedDict()
        """With the bytes that each takes; the one that was asked for last is the last one."""
        self._failures: dict[Key, tuple[float, str, int]] = {}
        self._loading: dict[Key, concurrent.futures.Future[Deployed]] = {}
        self._waiting = 0
        self._lock = threading.Lock()
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="models")

    def take(self, latest: Mapping[str, dict[str, Any]]) -> None:
        """Take what a manifest says, and let go of versions that are not the latest any more."""
        with self._lock:
            self._latest = latest
            for key, (deployed, _) in list(self._loaded.items()):
                entry, pin = latest.get("/".join(key)), deployed.versions[0].pin
                if entry is None or (entry["version"], entry["sha256"]) != (pin.version, pin.sha256):
                    del self._loaded[key]

    def list_names(self, tenant_id: str) -> dict[str, int]:
        """List a tenant's models, each with its latest version."""
        prefix = f"{tenant_id}/"
        return {
            name.removeprefix(prefix): entry["version"]
            for name, entry in sorted(self._latest.items())
            if name.startswith(prefix)
        }

    def find(self, tenant_id: str, name: str) -> Deployed | None:
        """Find a model that is loaded, which is the last one to go then."""
        with self._lock:
            found = self._loaded.get((tenant_id, name))
            if found is None:
                return None
            self._loaded.move_to_end((tenant_id, name))
            return found[0]

    def is_loaded(self, tenant_id: str, name: str) -> bool:
        """Return whether a model is loaded."""
        return (tenant_id, name) in self._loaded

    def drop(self, tenant_id: str, name: str) -> None:
        """Let go of a model until it is asked for again."""
        with self._lock:
            self._loaded.pop((tenant_id, name), None)

    async def load(self, tenant_id: str, name: str) -> Deployed | None:
        """Load a model, if it is not loaded; None when there is none of this name.

        Raises LoadingError when that takes longer than a request should, or can't be done now.
        """
        found = self.find(tenant_id, name)
        if found is not None or f"{tenant_id}/{name}" not in self._latest:
            return found
        if self._waiting >= _MAX_WAITING:
            raise errors.TooManyRequestsError("Too many requests wait for models to be loaded.", retry_after_seconds=1)
        self._waiting += 1
        try:
            loading = asyncio.wrap_future(self._begin((tenant_id, name)))
            # What nobody waits for any more must not be logged as lost.
            loading.add_done_callback(lambda done: done.cancelled() or done.exception())
            # Others may wait for the same one, and it is loaded all the same.
            return await asyncio.wait_for(asyncio.shield(loading), timeout=_WAIT_SECONDS)
        except TimeoutError as error:
            raise LoadingError(retry_after_seconds=5) from error
        finally:
            self._waiting -= 1

    def _begin(self, key: Key) -> "concurrent.futures.Future[Deployed]":
        with self._lock:
            loading = self._loading.get(key)
            if loading is None:
                loading = self._loading[key] = self._pool.submit(self._load, key)
                loading.add_done_callback(lambda _: self._loading.pop(key, None))
            return loading

    def _load(self, key: Key) -> Deployed:
        """Load a model in the thread for that; raises LoadingError."""
        entry = self._latest.get("/".join(key))
        if entry is None:
            raise errors.NotFoundError(f"There is no deployment and no model {key[1]!r} here.")
        failure = self._failures.get(key)
        if failure is not None and failure[2] == entry["version"] and time.monotonic() - failure[0] < _RETRY_SECONDS:
            raise LoadingError(failure[1], retry_after_seconds=round(_RETRY_SECONDS))
        try:
            deployed, size = self._read(key, entry)
        except Exception as error:
            reason = error.message if isinstance(error, errors.MillraceError) else type(error).__name__
            message = f"{key[1]}@{entry['version']} could not be loaded: {reason}"
            self._failures[key] = (time.monotonic(), message, entry["version"])
            _log.error("model_not_loaded", model="/".join(key), error=errors.to_reason(error))
            raise LoadingError(message, retry_after_seconds=round(_RETRY_SECONDS)) from error
        self._failures.pop(key, None)
        self._keep(key, deployed, size)
        return deployed

    def _read(self, key: Key, entry: Mapping[str, Any]) -> tuple[Deployed, int]:
        """Read a model, and how many bytes it takes: what the process grows by, and at least what its file has."""
        pin = manifests.read_pin(self._objects, entry["pin"])
        before = psutil.Process().memory_info().rss
        hold = hostcache.Hold(self._cache)
        try:
            path = self._objects.fetch(pin.key, sha256=pin.sha256, hold=hold)
            file_bytes = path.stat().st_size
            if file_bytes > self._max_bytes:
                raise errors.LimitExceededError(
                    f"its file has {file_bytes:,} bytes, and models that are not deployed may take {self._max_bytes:,} "
                    "together (MILLRACE_INFERENCE_MEMORY_BYTES); deploy it"
                )
            version = Version(pin, path)
        finally:
            hold.close()
        grown = psutil.Process().memory_info().rss - before
        return _to_deployed(*key, version), max(grown, file_bytes)

    def _keep(self, key: Key, deployed: Deployed, size: int) -> None:
        """Keep a model, and let go of those that were asked for longest ago, until all fit."""
        with self._lock:
            self._loaded[key] = (deployed, size)
            self._loaded.move_to_end(key)
            while len(self._loaded) > 1 and sum(each for _, each in self._loaded.values()) > self._max_bytes:
                gone, _ = self._loaded.popitem(last=False)
                _log.info("model_dropped", model="/".join(gone))


def _to_deployed(tenant_id: str, name: str, version: Version) -> Deployed:
    """Make a deployment of one version, with the limits that a deployment has by default."""
    fields = deployments.Deployment.model_fields
    return Deployed(
        tenant_id=tenant_id,
        name=name,
        revision=0,
        sticky_key=None,
        max_concurrency=fields["max_concurrency"].default,
        max_waiting=fields["max_waiting"].default,
        timeout_seconds=fields["timeout_seconds"].default,
        versions=(version,),
        table=bytes(shares.PLACES),
        fallback=None,
    )
