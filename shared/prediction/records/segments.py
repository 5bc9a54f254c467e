"""The segments in which copies of the inference server tell what they saw, and that they run.

A copy knows only the object store, so that is where its segments go, and the sweeper takes them from there into the
prediction role's database, each once. docs/decisions/serving.md, "What copies see goes through segments".
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from shared.objects import store
from shared.prediction.records import latencies

FOLDER = "Serving-segments"
"""Capital, because no tenant is called so, and a tenant's objects are in a folder of its name."""
INTERVAL_MS = 5000
"""The length of the intervals for which requests, errors and latencies are counted."""
MAX_BYTES = 4 << 20
"""The size at which a segment is ended."""
NAME = re.compile(r"[0-9A-Z]{26}-\d{10}")


@dataclasses.dataclass(frozen=True)
class Exposure:
    """A unit that a copy has sent to an arm for the first time, as far as the copy remembers."""

    tenant_id: str
    deployment: str
    revision: int
    arm: str
    unit: str
    seen_at: int


@dataclasses.dataclass(frozen=True)
class Counts:
    """What an arm of a deployment did in an interval, in one copy."""

    tenant_id: str
    deployment: str
    arm: str
    started_at: int
    """When the interval began, in epoch milliseconds."""
    requests: int
    errors: int
    """Requests that its version failed to answer, also those that another one then answered."""
    seconds: float
    """The sum of all latencies."""
    histogram: dict[int, int]


@dataclasses.dataclass(frozen=True)
class Lost:
    """How many records a copy could not keep."""

    records: int


@dataclasses.dataclass(frozen=True)
class Presence:
    """That a process of an inference server runs, and what it serves."""

    id: str
    """Another one for each process."""
    host: str
    pid: int
    port: int
    manifest: int
    """The number of the manifest that it serves; 0 before the first."""
    is_ready: bool


@dataclasses.dataclass(frozen=True)
class ShadowShare:
    """What a shadow is to predict of a batch, or what it has lost."""

    id: int
    """The revision of the deployment with which the shadow began."""
    model: str
    """The reference under which the deployment names it."""
    version: int
    percent: float
    rows: int


@dataclasses.dataclass(frozen=True)
class ShadowBatch:
    """That a copy has stored requests for shadows to predict."""

    tenant_id: str
    deployment: str
    name: str
    """That of the object: `shared.prediction.shadows.batches`."""
    rows: int
    shadows: list[ShadowShare]


@dataclasses.dataclass(frozen=True)
class ShadowLoss:
    """That a copy had no room for requests that shadows were to predict."""

    tenant_id: str
    deployment: str
    at_ms: int
    reason: str
    shadows: list[ShadowShare]


@dataclasses.dataclass(frozen=True)
class LogBatch:
    """That a copy has stored requests for the log of a deployment."""

    tenant_id: str
    deployment: str
    name: str
    """That of the object: `shared.prediction.logs.batches`."""
    rows: int
    bytes: int
    first_at: int
    last_at: int
    """When the first and the last was answered, in epoch milliseconds."""


@dataclasses.dataclass(frozen=True)
class LogLoss:
    """That a copy could not keep requests for the log of a deployment."""

    tenant_id: str
    deployment: str
    at_ms: int
    reason: str
    rows: int


Record = Exposure | Counts | Presence | ShadowBatch | ShadowLoss | LogBatch | LogLoss | Lost


def write_exposure(exposure: Exposure) -> bytes:
    """Write an exposure as a line."""
    fields = (exposure.tenant_id, exposure.deployment, exposure.revision, exposure.arm, exposure.unit, exposure.seen_at)
    return orjson.dumps(("e", *fields)) + b"\n"


def write_counts(counts: Counts) -> bytes:
    """Write counts as a line."""
    buckets = [[bucket, count] for bucket, count in counts.histogram.items()]
    fields = (counts.tenant_id, counts.deployment, counts.arm, counts.started_at, counts.requests, counts.errors)
    return orjson.dumps(("c", *fields, counts.seconds, buckets)) + b"\n"


def write_presence(presence: Presence) -> bytes:
    """Write that a process runs as a line."""
    return orjson.dumps(("p", *dataclasses.astuple(presence))) + b"\n"


def write_shadow_record(record: ShadowBatch | ShadowLoss) -> bytes:
    """Write of a batch for shadows, or of one that was lost, as a line."""
    what = "s" if isinstance(record, ShadowBatch) else "x"
    return orjson.dumps((what, *dataclasses.astuple(record))) + b"\n"


def write_log_record(record: LogBatch | LogLoss) -> bytes:
    """Write of a batch of a deployment's log, or of rows that were lost to it, as a line."""
    what = "b" if isinstance(record, LogBatch) else "d"
    return orjson.dumps((what, *dataclasses.astuple(record))) + b"\n"


def write_lost(records: int) -> bytes:
    """Write how many records were lost as a line."""
    return orjson.dumps(("l", records)) + b"\n"


def read(content: bytes) -> Iterator[Record]:
    """Read the lines of a segment; those that can't be read, such as a last one that was cut off, count as lost."""
    for line in content.splitlines():
        yield _read_line(line)


def _read_line(line: bytes) -> Record:
    try:
        what, *fields = orjson.loads(line)
        if what == "e":
            return Exposure(*fields)
        if what == "c":
            histogram = {int(bucket): int(count) for bucket, count in fields.pop()}
            return Counts(*[*fields, histogram])
        if what == "p":
            return Presence(*fields)
        if what in ("s", "x"):
            shares = [ShadowShare(*share) for share in fields.pop()]
            return ShadowBatch(*[*fields, shares]) if what == "s" else ShadowLoss(*[*fields, shares])
        if what in ("b", "d"):
            return LogBatch(*fields) if what == "b" else LogLoss(*fields)
        return Lost(int(fields[0]))
    except (ValueError, TypeError, IndexError):
        return Lost(1)


def key_of(name: str) -> str:
    """Build the key of a segment's object; ValueError for what is no name of a segment."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a segment")
    return f"{FOLDER}/{name}.jsonl"


def list_names(objects: store.Store) -> list[str]:
    """List the segments in the store, the oldest first."""
    names = (listed.key.removeprefix(f"{FOLDER}/").removesuffix(".jsonl") for listed in objects.list(FOLDER))
    return sorted(name for name in names if NAME.fullmatch(name))


def sum_counts(all_counts: Iterable[Counts]) -> dict[tuple[str, str, str, int], Counts]:
    """Add up the counts of each arm and interval."""
    sums: dict[tuple[str, str, str, int], Counts] = {}
    for counts in all_counts:
        key = (counts.tenant_id, counts.deployment, counts.arm, counts.started_at)
        sums[key] = counts if key not in sums else add(sums[key], counts)
    return sums


def add(one: Counts, other: Any) -> Counts:
    """Add the figures of one interval's counts to those of another's."""
    return dataclasses.replace(
        one,
        requests=one.requests + other.requests,
        errors=one.errors + other.errors,
        seconds=one.seconds + other.seconds,
        histogram=latencies.merge(one.histogram, latencies.from_document(other.histogram)),
    )
