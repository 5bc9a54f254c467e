"""The requests that shadows are to predict, kept for a second in memory and then stored as one object.

A copy neither loads shadows nor waits for them. Requests are written as bytes at once, which costs some microseconds
and bounds their memory to the byte; what finds no room is lost and counted.
docs/decisions/serving.md, "Shadows predict in jobs, from what copies sampled"
"""

import collections
import random
import threading
import time
from collections.abc import Sequence

import prometheus_client
import structlog

from shared import contract
from shared.objects import store
from shared.prediction.records import segments
from shared.prediction.shadows import batches
from workers.prediction.online import rows
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.merging import Prediction
from workers.prediction.online.records.segment_files import SegmentFiles

_log = structlog.get_logger()
ROWS, SECONDS = 500, 1.0
"""What waits is stored once it has so many rows, or is so old."""
MAX_ROWS, MAX_BYTES = 3_000, 16 << 20
"""The most that waits for one deployment: what is due is stored each half second, and its jobs can't do more in that
time. To write down more would cost callers, and be lost later.
"""
_ALL = 100.0
_FULL = "the copy's ring was full"
_UNWRITTEN = "the request can't be written as JSON"
_AWAY = "the object store was away"

SHADOWED = prometheus_client.Counter(
    "millrace_inference_shadow_rows_total", "Rows of requests that were stored for shadows to predict."
)
LOST = prometheus_client.Counter(
    "millrace_inference_shadow_rows_lost_total", "Rows of requests that shadows were to predict and never got."
)


class _Ring:
    """What waits for the shadows of one deployment, which stay the same meanwhile."""

    def __init__(self, deployed: Deployed) -> None:
        self.tenant_id = deployed.tenant_id
        self.deployment = deployed.name
        self.shadows = deployed.shadows
        self.calls: list[bytes] = []
        self.rows = 0
        self.bytes = 0
        self.drawn: list[tuple[float, int]] = []
        """The draws of the calls, with their rows, where not every call is for each shadow."""
        self.lost: dict[str, list[tuple[float, int]]] = collections.defaultdict(list)
        self.columns: Sequence[contract.Column] | None = None
        self.names: list[str] = []
        self.began = time.monotonic()

    @property
    def is_due(self) -> bool:
        return self.rows >= ROWS or time.monotonic() - self.began >= SECONDS

    def name(self, columns: Sequence[contract.Column]) -> list[str]:
        """List the names of columns, which are mostly those of the call before."""
        if columns is not self.columns:
            self.columns, self.names = columns, [column.name for column in columns]
        return self.names

    def share(self, drawn: Sequence[tuple[float, int]]) -> list[segments.ShadowShare]:
        """List the shadows with how many of the rows are theirs."""
        shares = [(shadow, sum(count for draw, count in drawn if draw < shadow.percent)) for shadow in self.shadows]
        return [
            segments.ShadowShare(shadow.id, shadow.model, shadow.version, shadow.percent, count)
            for shadow, count in shares
            if count
        ]


class ShadowRings:
    """Keeps what shadows are to predict; `offer` is called by any thread, `flush` by one."""

    def __init__(self) -> None:
        """Begin empty."""
        self._rings: dict[Deployed, _Ring] = {}
        self._lock = threading.Lock()
        self._number = 0

    def offer(self, deployed: Deployed, given: rows.Columns, predicted: Prediction, *, seconds: float) -> None:
        """Keep a request that was answered, if chance takes it; never raises."""
        draw = 0.0
        if deployed.draws_for_shadows:
            draw = random.random() * _ALL  # noqa: S311 - which are sampled is no secret.
            if draw >= deployed.shadow_percent:
                return
        rows_count = len(predicted.versions)
        ring = self._rings.get(deployed)
        if ring is None:
            with self._lock:
                ring = self._find(deployed)
        reason, call = _FULL, b""
        # Without the lock, because it doesn't matter whether one more or fewer is written.
        if ring.rows + rows_count <= MAX_ROWS:
            try:
                call = batches.write_call(
                    draw=draw,
                    at_ms=time.time_ns() // 1_000_000,
                    seconds=seconds,
                    versions=shorten(predicted.versions),
                    given=given,
                    names=ring.name(predicted.columns),
                    values=predicted.values,
                )
            except TypeError:
                reason = _UNWRITTEN
        with self._lock:
            # The other one may have been taken out meanwhile.
            ring = self._find(deployed)
            if call and ring.rows + rows_count <= MAX_ROWS and ring.bytes + len(call) <= MAX_BYTES:
                ring.calls.append(call)
                ring.rows += rows_count
                ring.bytes += len(call)
                if draw:
                    ring.drawn.append((draw, rows_count))
            else:
                ring.lost[reason].append((draw, rows_count))
                LOST.inc(rows_count)

    def flush(self, files: SegmentFiles, *, is_last: bool = False) -> None:
        """Store what is due, and tell of it in a segment; what the store doesn't take is lost and counted."""
        for ring in self._take_due(is_last=is_last):
            if ring.calls:
                self._store(ring, files)
            for reason, drawn in ring.lost.items():
                loss = segments.ShadowLoss(
                    ring.tenant_id, ring.deployment, time.time_ns() // 1_000_000, reason, ring.share(drawn)
                )
                files.append(segments.write_shadow_record(loss))

    def _find(self, deployed: Deployed) -> _Ring:
        ring = self._rings.get(deployed)
        if ring is None:
            ring = self._rings[deployed] = _Ring(deployed)
        return ring

    def _take_due(self, *, is_last: bool) -> list[_Ring]:
        with self._lock:
            due = [deployed for deployed, ring in self._rings.items() if is_last or ring.is_due]
            return [self._rings.pop(deployed) for deployed in due]

    def _store(self, ring: _Ring, files: SegmentFiles) -> None:
        name = f"{files.process}-{self._number:010}"
        self._number += 1
        drawn = ring.drawn or [(0.0, ring.rows)]
        try:
            with files.objects.write(batches.key_of(name)) as file:
                file.write(batches.write(ring.calls))
        except (store.StoreDownError, OSError) as error:
            _log.warning("shadow_rows_lost", rows=ring.rows, error=type(error).__name__)
            ring.lost[_AWAY] += drawn
            LOST.inc(ring.rows)
            return
        batch = segments.ShadowBatch(ring.tenant_id, ring.deployment, name, ring.rows, ring.share(drawn))
        files.append(segments.write_shadow_record(batch))
        SHADOWED.inc(ring.rows)


def shorten(versions: Sequence[str]) -> Sequence[str]:
    """Write versions as one text where they are all the same."""
    first = versions[0]
    return [first] if len(versions) == 1 or versions.count(first) == len(versions) else versions
