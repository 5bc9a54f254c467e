"""The requests that deployments' logs keep: for a second in memory, and then stored as objects.

Requests are written as bytes at once, which costs some microseconds and bounds their memory to the byte. While the
store is away they wait here, up to a limit; what finds no room is lost and counted. The ids of the predictions say
revision, arm, unit and time, so only what they don't say is written beside them.
docs/decisions/serving.md, "The prediction log is written by copies as batches, and by jobs as Parquet"
"""

import collections
import dataclasses
import operator
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import prometheus_client
import structlog

from shared import contract
from shared.objects import store
from shared.prediction.logs import batches
from shared.prediction.records import segments
from workers.prediction.online import rows
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.merging import Prediction
from workers.prediction.online.records.segment_files import SegmentFiles
from workers.prediction.online.records.shadow_rings import shorten
from workers.prediction.online.versions import Version

_log = structlog.get_logger()
SECONDS, BYTES = 1.0, 4 << 20
"""What waits is stored once it is so old, or so long."""
MAX_BYTES, MAX_BYTES_OF_ALL = 16 << 20, 128 << 20
"""The most that waits of one deployment between two looks, and of all while the store is away."""
_ALL = 100.0
_FULL = "the copy's buffer was full"
_AWAY = "the object store was away"
_UNWRITTEN = "the request can't be written as JSON"

LOGGED = prometheus_client.Counter(
    "millrace_inference_log_rows_total", "Rows of requests that were stored for deployments' logs."
)
LOST = prometheus_client.Counter(
    "millrace_inference_log_rows_lost_total", "Rows of requests that deployments' logs were to keep and have lost."
)


class _Ring:
    """What waits of the log of one deployment, which stays the same meanwhile."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed
        self.calls: list[bytes] = []
        self.rows = 0
        self.bytes = 0
        self.lost: collections.Counter[str] = collections.Counter()
        self.labels: set[str] = set()
        self.outputs: dict[str, str] = {}
        self.began = time.monotonic()
        self.began_ms = time.time_ns() // 1_000_000
        self._columns: Sequence[contract.Column] | None = None
        self._names: list[str] = []
        self._chosen: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._pickers: dict[str, Callable[[rows.Columns], Any]] = {}

    @property
    def is_due(self) -> bool:
        return self.bytes >= BYTES or time.monotonic() - self.began >= SECONDS

    def choose(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Choose the columns to keep of rows that versions have answered."""
        chosen = self._chosen.get(labels)
        if chosen is None:
            by_label = self._by_label()
            log, versions = self.deployed.log, [by_label[label] for label in labels if label in by_label]
            taken = [name for version in versions for name in version.column_names]
            chosen = () if log is None else log.choose(tuple(dict.fromkeys(taken)))
            self._chosen[labels] = chosen
        return chosen

    def pick(self, versions: Sequence[str], given: rows.Columns) -> Sequence[Any] | dict[str, Sequence[Any]]:
        """Pick what is kept of rows: mostly the columns of their version in order, whose names the batch has once."""
        if len(versions) == 1:
            picker = self._pickers.get(versions[0])
            if picker is None:
                names = self.choose((versions[0],))
                # A single column would come without its list.
                picker = operator.itemgetter(*names) if len(names) > 1 else dict
                self._pickers[versions[0]] = picker
            if picker is not dict:
                try:
                    picked: Any = picker(given)
                    return cast(Sequence[Any], picked)
                except KeyError:
                    pass
        return {name: given[name] for name in self.choose(tuple(dict.fromkeys(versions))) if name in given}

    def name(self, columns: Sequence[contract.Column]) -> list[str]:
        """List the names of columns, which are mostly those of the call before."""
        if columns is not self._columns:
            self._columns, self._names = columns, [column.name for column in columns]
            self.outputs |= {column.name: column.type for column in columns}
        return self._names

    def add(self, call: bytes, versions: Sequence[str], columns: Sequence[contract.Column], *, rows_count: int) -> None:
        """Keep a request that has been written."""
        self.calls.append(call)
        self.rows += rows_count
        self.bytes += len(call)
        self.labels.update(versions)
        # What has written it may be the ring before this one.
        self.name(columns)

    def describe_inputs(self) -> dict[str, list[tuple[str, str]]]:
        """Describe the columns that are kept of each version that has answered, as its signature has them."""
        by_label, described = self._by_label(), {}
        for label in sorted(self.labels & by_label.keys()):
            signature: Any = by_label[label].pin.signature
            types = {column["name"]: column["type"] for column in signature["columns"]}
            described[label] = [(name, types.get(name, "string")) for name in self.choose((label,))]
        return described

    def _by_label(self) -> dict[str, Version]:
        fallback = self.deployed.fallback
        return {each.pin.label: each for each in (*self.deployed.versions, *([] if fallback is None else [fallback]))}


@dataclasses.dataclass(frozen=True)
class _Stored:
    """A batch that is on its way to the store."""

    record: segments.LogBatch
    content: bytes
    bytes: int
    """What it has of the bytes that wait."""


class LogRings:
    """Keeps what deployments' logs are to have; `offer` is called by any thread, `flush` by one."""

    def __init__(self) -> None:
        """Begin empty."""
        self._rings: dict[Deployed, _Ring] = {}
        self._waiting: collections.deque[_Stored] = collections.deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._number = 0

    def offer(self, deployed: Deployed, given: rows.Columns, predicted: Prediction, *, seconds: float) -> None:
        """Keep a request that was answered by a deployment with a log, if chance takes it; never raises."""
        log = deployed.log
        if log is None or (log.percent < _ALL and random.random() * _ALL >= log.percent):  # noqa: S311 - no secret.
            return
        rows_count = len(predicted.versions)
        ring = self._rings.get(deployed)
        if ring is None:
            with self._lock:
                ring = self._find(deployed)
        reason, call = _AWAY if self._waiting else _FULL, b""
        versions = shorten(predicted.versions)
        # Without the lock, because it doesn't matter whether one more or fewer is written.
        if self._has_room(ring, 0):
            try:
                call = batches.write_call(
                    at_ms=time.time_ns() // 1_000_000,
                    seconds=seconds,
                    versions=versions,
                    ids=predicted.ids,
                    given=ring.pick(versions, given),
                    names=ring.name(predicted.columns),
                    values=predicted.values,
                    default=_to_plain,
                )
            except TypeError:
                reason = _UNWRITTEN
        with self._lock:
            # The other one may have been taken out meanwhile.
            ring = self._find(deployed)
            if call and self._has_room(ring, len(call)):
                self._bytes += len(call)
                ring.add(call, versions, predicted.columns, rows_count=rows_count)
            else:
                ring.lost[reason] += rows_count
                LOST.inc(rows_count)

    def flush(self, files: SegmentFiles, *, is_last: bool = False) -> None:
        """Store what is due, and tell of it in a segment; while the store is away it waits for a later turn.

        What waits at the last turn is lost and counted.
        """
        for ring in self._take_due(is_last=is_last):
            for reason, count in ring.lost.items():
                _tell_loss(files, ring.deployed, reason, count)
            if ring.calls:
                self._keep(ring, files)
        while self._waiting and self._store(self._waiting[0], files):
            with self._lock:
                self._bytes -= self._waiting.popleft().bytes
        if is_last:
            for stored in self._waiting:
                LOST.inc(stored.record.rows)
                loss = segments.LogLoss(
                    stored.record.tenant_id,
                    stored.record.deployment,
                    stored.record.last_at,
                    _AWAY,
                    stored.record.rows,
                )
                files.append(segments.write_log_record(loss))
            self._waiting.clear()

    def _has_room(self, ring: _Ring, size: int) -> bool:
        return ring.bytes + size <= MAX_BYTES and self._bytes + size <= MAX_BYTES_OF_ALL

    def _find(self, deployed: Deployed) -> _Ring:
        ring = self._rings.get(deployed)
        if ring is None:
            ring = self._rings[deployed] = _Ring(deployed)
        return ring

    def _take_due(self, *, is_last: bool) -> list[_Ring]:
        with self._lock:
            due = [deployed for deployed, ring in self._rings.items() if is_last or ring.is_due]
            return [self._rings.pop(deployed) for deployed in due]

    def _keep(self, ring: _Ring, files: SegmentFiles) -> None:
        """Let what a ring has wait for the store."""
        deployed = ring.deployed
        content = batches.write(
            deployment=deployed.name,
            revision=deployed.revision,
            inputs=ring.describe_inputs(),
            outputs=ring.outputs,
            calls=ring.calls,
        )
        name = f"{files.process}-{self._number:010}"
        self._number += 1
        record = segments.LogBatch(
            deployed.tenant_id,
            deployed.name,
            name,
            ring.rows,
            len(content),
            ring.began_ms,
            time.time_ns() // 1_000_000,
        )
        self._waiting.append(_Stored(record, content, ring.bytes))

    def _store(self, stored: _Stored, files: SegmentFiles) -> bool:
        """Store a batch, and tell of it; False while the store is away."""
        try:
            with files.objects.write(batches.key_of(stored.record.name)) as file:
                file.write(stored.content)
        except FileExistsError:
            # An earlier turn was cut off after it had been stored.
            pass
        except (store.StoreDownError, OSError) as error:
            _log.warning("log_rows_wait", rows=stored.record.rows, error=type(error).__name__)
            return False
        files.append(segments.write_log_record(stored.record))
        LOGGED.inc(stored.record.rows)
        return True


def _tell_loss(files: SegmentFiles, deployed: Deployed, reason: str, count: int) -> None:
    at_ms = time.time_ns() // 1_000_000
    files.append(segments.write_log_record(segments.LogLoss(deployed.tenant_id, deployed.name, at_ms, reason, count)))


def _to_plain(value: Any) -> Any:
    """Turn what was looked up, as numpy has it, into what JSON has; TypeError for anything else."""
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else f"{value}"
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError
