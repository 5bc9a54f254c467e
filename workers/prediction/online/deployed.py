"""A deployment as a copy serves it: which version answers a place, as far as the copy has loaded them."""

import collections
import dataclasses
import functools
import hashlib
import math
import random
from collections.abc import Mapping, Sequence, Set
from typing import Any

from shared.prediction import lookups, manifests, prediction_ids, shares
from shared.prediction.logs.document import Sampling
from workers.prediction.online.lookups.joining import Freshness, Lookup
from workers.prediction.online.lookups.sources import Sources
from workers.prediction.online.rows import Columns
from workers.prediction.online.versions import Version, make_example

_ALL = 100.0
_NONE = 255
"""Stands in the table for a place that no version can answer; there are far fewer routes."""


@dataclasses.dataclass(frozen=True)
class Shadow:
    """A version that is to predict what is asked here, elsewhere."""

    id: int
    """The revision of the deployment with which it began."""
    model: str
    """The reference under which the deployment names it."""
    version: int
    percent: float


@dataclasses.dataclass(frozen=True, eq=False)
class Deployed:
    """A deployment, with the version that answers each place."""

    tenant_id: str
    name: str
    revision: int
    sticky_key: str | None
    max_concurrency: int
    max_waiting: int
    timeout_seconds: float
    versions: tuple[Version, ...]
    """The versions that answer, each once, the one with most places first."""
    table: bytes
    """For each place, the position in `versions` of the one that answers."""
    fallback: Version | None
    arms: Mapping[Version, str] = dataclasses.field(default_factory=dict)
    """The references of the routes, by the version that each stands for."""
    experiment: int | None = None
    """The number of the experiment that runs."""
    is_complete: bool = True
    """Whether the versions of all routes are loaded, so that each unit is sent where its place says."""
    shadows: tuple[Shadow, ...] = ()
    log: Sampling | None = None
    """What is kept of the requests; None for nothing."""
    has_plain_errors: bool = False
    """Whether errors name no values, columns, versions or reasons."""
    lookup: Lookup | None = None
    """What is looked up for the versions of its routes."""
    lookups: Mapping[Version, Lookup] = dataclasses.field(default_factory=dict)
    """What is looked up for each version, which is of an earlier revision where the version is."""
    heads: dict[Any, bytes] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """What ids of predictions begin with, kept by those who make them."""

    @functools.cached_property
    def draws_for_shadows(self) -> bool:
        """Whether chance decides which requests shadows get; else each of them gets all."""
        return any(shadow.percent < _ALL for shadow in self.shadows)

    @functools.cached_property
    def shadow_percent(self) -> float:
        """The share of the requests that some shadow gets, in percent."""
        return max((shadow.percent for shadow in self.shadows), default=0.0)

    @functools.cached_property
    def keeps_rows(self) -> bool:
        """Whether rows are kept with what was looked up for them, for shadows or in a log."""
        return bool(self.shadows) or self.log is not None

    @property
    def is_ready(self) -> bool:
        """Whether some version answers at every place."""
        # A place is left to none only if no version is loaded at all.
        return bool(self.versions)

    @property
    def shares(self) -> dict[str, float]:
        """The share of the places that each version answers, by its label."""
        counts = collections.Counter(self.table)
        return {version.pin.label: counts[index] / shares.PLACES for index, version in enumerate(self.versions)}

    def version_at(self, unit: str | None) -> Version | None:
        """Return the version that answers a unit, or a row that has none."""
        place = random.randrange(shares.PLACES) if unit is None else shares.place_of(unit, seed=self.name)  # noqa: S311 - which version answers is no secret.
        index = self.table[place]
        return None if index == _NONE else self.versions[index]

    def arm_of(self, version: Version) -> str:
        """Return the reference of the route that a version answers for, or its label where it has none any more."""
        return self.arms.get(version) or version.pin.label

    @functools.cached_property
    def _unit_hasher(self) -> "hashlib.blake2b":
        # Each experiment meets every unit as a new one.
        experiment = "" if self.experiment is None else f"{self.experiment}/"
        space = f"{self.tenant_id}/{self.name}/{experiment}"
        return hashlib.blake2b(space.encode(), digest_size=prediction_ids.UNIT_BYTES)

    def hash_unit(self, unit: str) -> bytes:
        """Hash a unit, so that it can be told from others and nothing else can be told of it."""
        hasher = self._unit_hasher.copy()
        hasher.update(unit.encode())
        return hasher.digest()

    def join(self, version: Version | None, given: Columns, *, rows_count: int) -> tuple[Columns, Freshness | None]:
        """Join rows with the features that a version takes; raises what `Lookup.join` raises."""
        lookup = None if version is None else self.lookups.get(version)
        if lookup is None or version is None:
            return given, None
        return lookup.join(given, rows_count=rows_count, wanted=version.column_names)

    def list_inputs(self, version: Version) -> list[dict[str, Any]]:
        """Describe the columns that a request has to have for a version, as its signature has them."""
        columns: Any = version.pin.signature["columns"]
        lookup = self.lookups.get(version)
        return list(columns) if lookup is None else lookup.describe_inputs(columns)

    def make_example(self, version: Version) -> dict[str, Any]:
        """Make a row that a version can answer, with a key that is there where something is looked up."""
        lookup = self.lookups.get(version)
        row = make_example({"columns": self.list_inputs(version)})
        return row if lookup is None else {**row, **lookup.example}

    def substitute_for(self, failed: Version) -> Version | None:
        """Return the version that answers instead of one that failed: the fallback, or that of most places."""
        if self.fallback is not None and self.fallback is not failed:
            return self.fallback
        return next((version for version in self.versions if version is not failed), None)


def to_unit(value: Any) -> str:
    """Write a value of the sticky column as text: equal values get the same one, however a client writes them."""
    return "" if isinstance(value, float) and math.isnan(value) else prediction_ids.to_text(value)


def compile_deployment(
    document: Mapping[str, Any],
    *,
    loaded: Mapping[str, Version],
    previous: Deployed | None,
    sources: Sources | None = None,
) -> Deployed:
    """Give each place of a deployment the version of its route, if that is loaded.

    Until it is, or if it can't be, the place keeps the version that it had; then comes the fallback, and then the route
    with the greatest weight of those that are loaded. So it is too until what is looked up is mapped, since a version
    without its features can answer nothing. docs/decisions/serving.md, "A place changes hands only once its
    new version is ready".
    """
    tenant_id = document["tenant_id"]
    lookup = _make_lookup(document, sources)
    if lookup is not None and not lookup.is_loaded:
        loaded = {}
    targets = [loaded.get(_version_id(tenant_id, route)) for route in document["routes"]]
    fallback = loaded.get(_version_id(tenant_id, document["fallback"])) if document["fallback"] else None
    by_weight = sorted(zip(document["routes"], targets, strict=True), key=lambda pair: pair[0]["weight"], reverse=True)
    ready = next((version for _, version in by_weight if version is not None), None)
    table = shares.tabulate([route["ranges"] for route in document["routes"]])
    before = previous.table if previous else bytes([_NONE]) * shares.PLACES
    kept = dict(enumerate(previous.versions)) if previous else {}
    # There are few pairs of a route and what its place had before, and 10,000 places.
    pairs = collections.Counter(zip(table, before, strict=True))
    chosen = {pair: targets[pair[0]] or kept.get(pair[1]) or fallback or ready for pair in pairs}
    places: collections.Counter[Version] = collections.Counter()
    for pair, count in pairs.items():
        version = chosen[pair]
        if version is not None:
            places[version] += count
    versions = tuple(version for version, _ in places.most_common())
    index = {version: position for position, version in enumerate(versions)}
    codes = {pair: _NONE if version is None else index[version] for pair, version in chosen.items()}
    return Deployed(
        tenant_id=tenant_id,
        name=document["name"],
        revision=document["revision"],
        sticky_key=document["sticky_key"],
        max_concurrency=document["max_concurrency"],
        max_waiting=document["max_waiting"],
        timeout_seconds=document["timeout_seconds"],
        versions=versions,
        table=bytes(map(codes.__getitem__, zip(table, before, strict=True))),
        fallback=fallback,
        shadows=_list_shadows(document),
        log=Sampling.of_state(document.get("log")),
        has_plain_errors=document.get("errors") == "plain",
        lookup=lookup,
        lookups=_assign(lookup, versions, {*targets, fallback}, previous=previous),
        experiment=(document.get("experiment") or {}).get("id"),
        is_complete=all(
            version is not None for route, version in zip(document["routes"], targets, strict=True) if route["ranges"]
        ),
        arms={
            version: route["model"]
            for route, version in zip(document["routes"], targets, strict=True)
            if version is not None
        },
    )


def name_lookup(document: Mapping[str, Any]) -> str | None:
    """Build the text under which a manifest has what a deployment looks up; None where it looks nothing up."""
    state = document.get("lookup")
    return state and lookups.name_publication(document["tenant_id"], state["features"], state["keyed_by"])


def _make_lookup(document: Mapping[str, Any], sources: Sources | None) -> Lookup | None:
    identity = name_lookup(document)
    if identity is None or sources is None:
        return None
    return Lookup(document["lookup"], sources.hold(identity), deployment=(document["tenant_id"], document["name"]))


def _assign(
    lookup: Lookup | None, versions: Sequence[Version], current: Set[Version | None], *, previous: Deployed | None
) -> dict[Version, Lookup]:
    """Say what is looked up for each version; one that only an earlier revision names goes on with what it had."""
    before = previous.lookups if previous else {}
    found = {version: before.get(version, lookup) for version in versions}
    found |= {version: lookup for version in current if version is not None}
    return {version: each for version, each in found.items() if each is not None}


def list_needed(document: Mapping[str, Any]) -> list[str]:
    """List the versions that a deployment needs, as its manifest names them."""
    named = [*document["routes"], *([document["fallback"]] if document["fallback"] else [])]
    return [_version_id(document["tenant_id"], place) for place in named]


def _list_shadows(document: Mapping[str, Any]) -> tuple[Shadow, ...]:
    """List the shadows of a deployment, but for one that answers everything itself, as a canary that took over does."""
    answering = {_version_id("", route) for route in document["routes"] if route["ranges"]}
    return tuple(
        Shadow(shadow["id"], shadow["model"], shadow["version"], shadow["percent"])
        for shadow in document.get("shadow", [])
        if answering != {_version_id("", shadow)}
    )


def _version_id(tenant_id: str, place: Mapping[str, Any]) -> str:
    return manifests.version_id(tenant_id, place["model"].partition("@")[0], place["version"])
