"""What a copy serves at this moment: the latest manifest that it has read, and the versions that it has loaded."""

import hashlib
import threading
import time
from collections.abc import Mapping
from typing import Any

import structlog

from shared import contract, errors
from shared.objects import hostcache, store
from shared.objects.outages import Outages
from shared.prediction import manifests
from workers.prediction.online import on_demand
from workers.prediction.online.deployed import Deployed, compile_deployment, list_needed, name_lookup
from workers.prediction.online.graphs.compiling import DeployedGraph, compile_graphs
from workers.prediction.online.lookups.sources import Sources
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.versions import Version

_log = structlog.get_logger()
_RETRY_SECONDS = 10.0
"""After how long a version that could not be loaded is tried again."""
_NOT_TOLD = "it is not loaded"
_MEMORY_BYTES = 2 << 30
_LISTING_SECONDS = 10.0
"""How often all manifests are listed: the next one may have been removed while this host was cut off."""


class Serving:
    """Deployments and keys, replaced as a whole when a manifest or a version arrives; read from any thread.

    One thread takes manifests and another one loads versions, so that a model that takes long delays no other change.
    """

    def __init__(
        self,
        objects: store.Store,
        cache: hostcache.HostCache,
        recorder: Recorder | None = None,
        *,
        memory_bytes: int = _MEMORY_BYTES,
    ) -> None:
        """Serve nothing yet; versions come from a store, by way of this host's cache.

        A recorder gets the keys to sign the ids of predictions with. Models that are not deployed may take
        `memory_bytes` together.
        """
        self._recorder = recorder
        self.on_demand = on_demand.OnDemand(objects, cache, max_bytes=memory_bytes)
        self.sources = Sources(objects, cache)
        self._objects = objects
        self._cache = cache
        self._manifest: manifests.Manifest | None = None
        self._loaded: dict[str, Version] = {}
        self._attached: dict[str, str] = {}
        self._failures: dict[str, tuple[float, str]] = {}
        self._deployments: dict[tuple[str, str], Deployed] = {}
        self._keys: Mapping[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._has_tried_tables = False
        self.is_complete = False
        """Whether what the first manifest needs has been loaded, or could not be."""

    @property
    def manifest(self) -> manifests.Manifest | None:
        """The manifest that is served; None before the first."""
        return self._manifest

    def find(self, tenant_id: str, name: str) -> Deployed | None:
        """Find a deployment of a tenant."""
        return self._deployments.get((tenant_id, name))

    async def reach(self, tenant_id: str, name: str) -> Deployed:
        """Find a deployment of a tenant, or load the latest version of its model of that name.

        Raises NotFoundError, and LoadingError while that can't be had.
        """
        found = self.find(tenant_id, name) or await self.on_demand.load(tenant_id, name)
        if found is None:
            raise errors.NotFoundError(f"There is no deployment and no model {name!r} here.")
        return found

    def list_deployments(self, tenant_id: str) -> list[Deployed]:
        """List a tenant's deployments by name."""
        found = [deployed for (owner, _), deployed in self._deployments.items() if owner == tenant_id]
        return sorted(found, key=lambda deployed: deployed.name)

    def find_tenant(self, secret: str) -> str | None:
        """Find whose key this is; None for one that is not valid now."""
        key = self._keys.get(hashlib.sha256(secret.encode()).hexdigest())
        if key is None or (key["expires_at"] is not None and key["expires_at"] <= time.time() * 1000):
            return None
        tenant: str = key["tenant_id"]
        return tenant

    def take(self, manifest: manifests.Manifest) -> None:
        """Serve a manifest: its keys and limits at once, its versions once each is loaded."""
        if self._recorder is not None:
            self._recorder.take_keys(manifest.signing_keys)
        self.on_demand.take(manifest.models)
        self.sources.take(manifest.lookups)
        with self._lock:
            before = self._deployments
            self._manifest = manifest
            self._keys = {key["sha256"]: key for key in manifest.keys}
            self._serve(
                {
                    (document["tenant_id"], document["name"]): self._compile(document, before=before)
                    for document in manifest.deployments
                    if document.get("graph") is None
                }
            )

    def load_missing(self) -> bool:
        """Load the versions that the manifest needs and that are not loaded, each of which then takes its share.

        Returns whether there was something to load.
        """
        manifest = self._manifest
        if manifest is None:
            return False
        has_loaded = not self.is_complete
        for version_id in dict.fromkeys(name for each in manifest.deployments for name in list_needed(each)):
            if version_id not in self._loaded and self._may_try(version_id):
                has_loaded = True
                self._load(version_id, manifest)
            if version_id in self._loaded and version_id in manifest.onnx:
                has_loaded |= self._attach(version_id, manifest.onnx[version_id])
        self._forget_unneeded()
        # Tables are mapped beside, and a copy that hasn't is not complete.
        self.is_complete = self.is_complete or self._has_tried_tables
        return has_loaded

    def load_tables(self) -> bool:
        """Map the tables that deployments look rows up in and that are not mapped, each of which is then used.

        Returns whether there was something to map.
        """
        if self._manifest is None:
            return False
        has_loaded = self.sources.load_tables()
        if has_loaded:
            self._compile_lookups()
        self._has_tried_tables = True
        return has_loaded

    def _compile_lookups(self) -> None:
        with self._lock:
            for document in self._manifest.deployments if self._manifest else []:
                if name_lookup(document) is not None:
                    self._compile_again(document)

    def _compile_again(self, document: Mapping[str, Any]) -> None:
        key = (document["tenant_id"], document["name"])
        self._serve({**self._deployments, key: self._compile(document, before=self._deployments)})

    def _serve(self, deployments: dict[tuple[str, str], Deployed]) -> None:
        """Serve deployments, and graphs of them as they are now; with the lock."""
        documents = self._manifest.deployments if self._manifest else []
        self._deployments = {**deployments, **compile_graphs(documents, deployments)}

    def explain(self, deployed: Deployed) -> dict[str, str]:
        """Explain why versions and features that a deployment needs are not loaded, by `name@version`."""
        if isinstance(deployed, DeployedGraph):
            reasons_of_members = (self.explain(member) for member in deployed.members.values())
            return dict(item for each in reasons_of_members for item in each.items())
        prefix = f"{deployed.tenant_id}/"
        reasons: dict[str, str] = {}
        for document in self._manifest.deployments if self._manifest else []:
            if (document["tenant_id"], document["name"]) == (deployed.tenant_id, deployed.name):
                failed = sorted(set(list_needed(document)) & self._failures.keys())
                reasons |= {name.removeprefix(prefix): self._failures[name][1] for name in failed}
                identity = name_lookup(document)
                reason = identity and self.sources.explain(identity)
                reasons |= {document["lookup"]["features"]: reason} if reason else {}
        return dict.fromkeys(reasons, _NOT_TOLD) if deployed.has_plain_errors else reasons

    def list_failures(self) -> dict[str, str]:
        """Return why versions that are needed could not be loaded."""
        return {version_id: reason for version_id, (_, reason) in self._failures.items()}

    def _may_try(self, version_id: str) -> bool:
        failure = self._failures.get(version_id)
        return failure is None or time.monotonic() - failure[0] >= _RETRY_SECONDS

    def _load(self, version_id: str, manifest: manifests.Manifest) -> None:
        hold = hostcache.Hold(self._cache)
        try:
            pin = contract.ModelPin.model_validate(manifest.versions[version_id])
            path = self._objects.fetch(pin.key, sha256=pin.sha256, hold=hold)
            version = Version(pin, path)
        except Exception as error:  # noqa: BLE001 - a version that can't be loaded leaves the others serving.
            reason = error.message if isinstance(error, errors.MillraceError) else type(error).__name__
            self._failures[version_id] = (time.monotonic(), reason)
            _log.error("version_not_loaded", version=version_id, error=errors.to_reason(error))
            return
        finally:
            hold.close()
        self._failures.pop(version_id, None)
        with self._lock:
            self._loaded[version_id] = version
            for document in self._manifest.deployments if self._manifest else []:
                if version_id in list_needed(document):
                    self._compile_again(document)

    def _attach(self, version_id: str, export: Mapping[str, Any]) -> bool:
        """Let ONNX Runtime answer for a version, once; where it can't the library goes on to answer.

        Returns whether this had not been tried yet.
        """
        if self._attached.get(version_id) == export["sha256"]:
            return False
        hold = hostcache.Hold(self._cache)
        try:
            path = self._objects.fetch(export["key"], sha256=export["sha256"], hold=hold)
            self._loaded[version_id].attach(path)
        except Exception as error:  # noqa: BLE001 - the library answers as well.
            _log.warning("onnx_not_attached", version=version_id, error=errors.to_reason(error))
        finally:
            hold.close()
        self._attached[version_id] = export["sha256"]
        with self._lock:
            # What is quick now makes the graphs quick that ask it.
            self._serve(self._deployments)
        return True

    def _compile(self, document: Mapping[str, Any], *, before: Mapping[tuple[str, str], Deployed]) -> Deployed:
        previous = before.get((document["tenant_id"], document["name"]))
        return compile_deployment(document, loaded=self._loaded, previous=previous, sources=self.sources)

    def _forget_unneeded(self) -> None:
        """Let go of versions that no deployment needs or still answers with."""
        with self._lock:
            documents = self._manifest.deployments if self._manifest else []
            needed = {name for document in documents for name in list_needed(document)}
            in_use = {id(version) for deployed in self._deployments.values() for version in deployed.versions}
            for version_id, version in list(self._loaded.items()):
                if version_id not in needed and id(version) not in in_use:
                    del self._loaded[version_id]
                    self._attached.pop(version_id, None)
            for version_id in set(self._failures) - needed:
                del self._failures[version_id]


class Watch:
    """Reads manifests as they are published."""

    def __init__(self, serving: Serving, objects: store.Store) -> None:
        """Let a copy serve what a store's latest manifest says."""
        self._serving = serving
        self._objects = objects
        self._listed_at = float("-inf")
        self._outages = Outages("manifest_not_read")
        self._damaged = 0

    def look(self) -> bool:
        """Take a new manifest if there is one, and load what is missing; False while the store is away."""
        is_there = self.take_new()
        self._serving.load_tables()
        self._serving.sources.load_overlays()
        self._serving.load_missing()
        return is_there

    def take_new(self) -> bool:
        """Take a new manifest if there is one, and leave loading to others; False while the store is away."""
        known = self._serving.manifest
        with self._outages.passing():
            number = 0 if known is None else manifests.find_next(self._objects, after=known.number)
            if known is None or time.monotonic() - self._listed_at >= _LISTING_SECONDS:
                self._listed_at = time.monotonic()
                number = max(number, manifests.find_latest(self._objects))
            if number and (known is None or number > known.number):
                self._read(number, after=known.number if known else 0)
        return not self._outages.is_away

    def _read(self, newest: int, *, after: int) -> None:
        """Take the newest manifest that can be read."""
        for number in range(newest, max(after, newest - manifests.KEPT), -1):
            try:
                manifest = manifests.read(self._objects, number)
            except (store.DamagedError, FileNotFoundError) as error:
                if number > self._damaged:
                    _log.error("manifest_damaged", number=number, error=type(error).__name__)
                self._damaged = max(self._damaged, number)
                continue
            self._serving.take(manifest)
            return
