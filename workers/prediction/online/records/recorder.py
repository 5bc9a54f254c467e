"""What a copy notes of each request: who was sent where, how it went, and the signed id under which to tell the truth.

It costs some microseconds a request, because all that doesn't change from one request to the next is kept: the head of
the ids, and the notes of each arm.
"""

import contextlib
import dataclasses
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from shared.objects import store
from shared.prediction import prediction_ids
from shared.prediction.records import latencies, segments
from workers.prediction.online import rows
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.merging import Prediction
from workers.prediction.online.records.log_rings import LogRings
from workers.prediction.online.records.segment_files import SegmentFiles
from workers.prediction.online.records.shadow_rings import ShadowRings
from workers.prediction.online.versions import Version

_MAX_SEEN = 200_000
"""Units that are remembered, twice: one that is forgotten is told of again, which changes nothing."""
_MAX_HEADS = 1000
_NUMERIC = frozenset({"regression", "quantile"})


class _Arm:
    """The notes of one arm of a deployment since they were last taken."""

    def __init__(self, code: int) -> None:
        self.code = code.to_bytes(4, "big")
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self.requests = 0
        self.errors = 0
        self.seconds = 0.0
        self.histogram: dict[int, int] = {}


class Recorder:
    """Notes what deployments answer; all but `flush` is called by any thread."""

    def __init__(self) -> None:
        """Keep what is noted nowhere yet; ids are made once there is a key."""
        self._files: SegmentFiles | None = None
        self._signer: prediction_ids.Signer | None = None
        self._arms: dict[tuple[str, str, str], _Arm] = {}
        self._seen: set[bytes] = set()
        self._seen_before: set[bytes] = set()
        self._lock = threading.Lock()
        self.shadows = ShadowRings()
        self.log = LogRings()

    @property
    def is_kept(self) -> bool:
        """Whether there is a file to which it is written."""
        return self._files is not None

    def keep_in(self, files: SegmentFiles) -> None:
        """Write what is noted to segments from now on."""
        self._files = files

    def note_presence(self, *, port: int, manifest: int, is_ready: bool) -> None:
        """Note that this process runs, and what it serves."""
        if self._files is not None:
            presence = segments.Presence(
                self._files.process, socket.gethostname(), os.getpid(), port, manifest, is_ready
            )
            self._files.append(segments.write_presence(presence))

    def take_keys(self, keys: Sequence[dict[str, Any]]) -> None:
        """Sign with the first of the manifest's keys from now on."""
        self._signer = prediction_ids.Signer(keys[0]["id"], bytes.fromhex(keys[0]["secret"])) if keys else None

    def note_call(self, deployed: Deployed, version: Version, *, seconds: float, failed: bool) -> None:
        """Note that a version was asked, how long it took, and whether it could not answer."""
        arm = self._arm(deployed, deployed.arm_of(version))
        bucket = latencies.bucket_of(seconds)
        with arm.lock:
            arm.requests += 1
            arm.errors += failed
            arm.seconds += seconds
            arm.histogram[bucket] = arm.histogram.get(bucket, 0) + 1

    def note(
        self,
        deployed: Deployed,
        given: rows.Columns,
        predicted: Prediction,
        chosen: Sequence[Version | None],
        *,
        units: Sequence[str] | None,
        is_sent: bool,
        began: float,
    ) -> Prediction:
        """Note what was predicted of which rows, for whoever is to know, and return it with the ids of the rows.

        `began` is when the rows were there, by `time.perf_counter`; the rest is as in `note_rows`.
        """
        if is_sent and deployed.shadows:
            self.shadows.offer(deployed, given, predicted, seconds=time.perf_counter() - began)
        ids = self.note_rows(
            deployed,
            [version for version in chosen if version is not None],
            predicted.versions,
            units=units,
            values=predicted.values[0],
            is_sent=is_sent,
        )
        predicted = dataclasses.replace(predicted, ids=ids)
        if deployed.log is not None:
            self.log.offer(deployed, given, predicted, seconds=time.perf_counter() - began)
        return predicted

    def note_rows(
        self,
        deployed: Deployed,
        chosen: Sequence[Version],
        answered: Sequence[str],
        *,
        units: Sequence[str] | None,
        values: Sequence[Any],
        is_sent: bool = True,
    ) -> list[str]:
        """Note which arm each unit was sent to, and make the ids of the rows, one for each 64.

        `chosen` has the version that each row was sent to, `answered` the label of the one that answered it. `chosen`
        and `units` may have one element for all rows; `units` is None where rows are no unit's. Rows that were not sent
        to an arm, since the client has chosen the version, have none.
        """
        at_ms = time.time_ns() // 1_000_000
        hashes = [] if units is None else [deployed.hash_unit(unit) for unit in units]
        if hashes and is_sent:
            self._expose(deployed, chosen, hashes, at_ms=at_ms)
        signer = self._signer
        if signer is None:
            return []
        count, most = len(values), prediction_ids.MAX_ROWS
        is_number = chosen[0].pin.problem in _NUMERIC
        pairs = [(version, label, is_sent) for version, label in zip(_spread(chosen, count), answered, strict=True)]
        made = []
        for start in range(0, count, most):
            part = pairs[start : start + most]
            distinct = tuple(dict.fromkeys(part))
            made.append(
                signer.sign(
                    deployed.tenant_id,
                    self._head(deployed, distinct),
                    at_ms=at_ms,
                    values=values[start : start + most],
                    is_number=is_number,
                    units=b"".join(hashes if len(hashes) == 1 else hashes[start : start + most]),
                    answered_by=bytes(map(distinct.index, part)) if len(distinct) > 1 else b"",
                )
            )
        return made

    def flush(self) -> None:
        """Write the counts of the time since the last flush, and ship everything; raises what the store raises."""
        if self._files is None:
            return
        self.shadows.flush(self._files)
        self.log.flush(self._files)
        now = time.time_ns() // 1_000_000
        for (tenant_id, deployment, name), arm in list(self._arms.items()):
            with arm.lock:
                if not arm.requests:
                    continue
                counts = segments.Counts(
                    tenant_id,
                    deployment,
                    name,
                    now - now % segments.INTERVAL_MS,
                    arm.requests,
                    arm.errors,
                    arm.seconds,
                    arm.histogram,
                )
                arm.clear()
            self._files.append(segments.write_counts(counts))
        self._files.ship()

    def close(self) -> None:
        """Flush for the last time; what the store doesn't take is shipped by the next process."""
        if self._files is not None:
            with contextlib.suppress(store.StoreDownError, OSError):
                self.shadows.flush(self._files, is_last=True)
                self.log.flush(self._files, is_last=True)
                self.flush()
            self._files.close()

    def _expose(self, deployed: Deployed, chosen: Sequence[Version], hashes: Sequence[bytes], *, at_ms: int) -> None:
        if deployed.experiment is not None and not deployed.is_complete:
            # Units would be noted in an arm that isn't theirs, and all that come early in the one that loads first.
            return
        lines = []
        for version, unit in zip(_spread(chosen, len(hashes)), hashes, strict=True):
            name = deployed.arm_of(version)
            mark = self._arm(deployed, name).code + unit
            if mark in self._seen or mark in self._seen_before:
                continue
            self._remember(mark)
            exposure = segments.Exposure(deployed.tenant_id, deployed.name, deployed.revision, name, unit.hex(), at_ms)
            lines.append(segments.write_exposure(exposure))
        if lines and self._files is not None:
            self._files.append(b"".join(lines))

    def _remember(self, mark: bytes) -> None:
        self._seen.add(mark)
        if len(self._seen) >= _MAX_SEEN:
            self._seen_before, self._seen = self._seen, set()

    def _arm(self, deployed: Deployed, name: str) -> _Arm:
        key = (deployed.tenant_id, deployed.name, name)
        arm = self._arms.get(key)
        if arm is None:
            with self._lock:
                arm = self._arms.setdefault(key, _Arm(len(self._arms)))
        return arm

    def _head(self, deployed: Deployed, answers: tuple[tuple[Version, str, bool], ...]) -> bytes:
        head = deployed.heads.get(answers)
        if head is None:
            described = []
            for version, label, is_sent in answers:
                model, _, number = label.partition("@")
                arm = deployed.arm_of(version) if is_sent else ""
                described.append(prediction_ids.Answer(model, int(number), arm))
            head = prediction_ids.pack_head(deployed.name, deployed.revision, described)
            if len(deployed.heads) < _MAX_HEADS:
                deployed.heads[answers] = head
        return head


def _spread(items: Sequence[Any], count: int) -> Sequence[Any]:
    return items if len(items) == count else [items[0]] * count
