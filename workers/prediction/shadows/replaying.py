"""Lets the shadows of a deployment predict the requests of the batches that a job has, and sums how they compare.

Whatever is wrong with a shadow is counted with its reason and ends nothing; what is wrong with the store or a database
is the job's, which is then done again. docs/decisions/serving.md, "Shadows predict in jobs, from what copies sampled"
"""

import collections
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from shared import contract, database, errors, faults
from shared.ml import signatures
from shared.objects import store
from shared.prediction import snapshots
from shared.prediction.contract import ShadowDeployment, ShadowedDeployment
from shared.prediction.records import segments
from shared.prediction.shadows import batches, stored, sums, waiting
from shared.prediction.shadows.batches import Call
from workers.job import Finish, Job
from workers.prediction.online.versions import Answer, Version
from workers.prediction.shadows import comparing

_log = structlog.get_logger()
_ROWS = 2000
"""Rows that are predicted at once."""
_SPLITS = 50
"""How often requests that can't be predicted are parted, to find those that can."""
_TIMED, _TIMED_SECONDS = 10, 0.2
"""Requests of a job that are predicted one by one by both versions, and for how long at most, to compare times."""
_SEGMENTS = 10

FindVersion = Callable[[contract.ModelPin], Version]


def replay(job: Job, command: ShadowDeployment, snapshot: snapshots.Snapshot, *, find_version: FindVersion) -> Finish:
    """Predict what the job's batches hold; returns a function that stores the sums and removes the batches."""
    with database.of_process()[job.role].statements.connect() as connection:
        found = waiting.read_batches(connection, job.id)
    replayed = _Replay(job.tenant_id, command.deployment, snapshot, find_version=find_version)
    for share, calls in _read_calls(job.store, found, replayed):
        replayed.predict(share, calls)
    names = [batch.name for batch in found]
    job.after_success(lambda: job.store.remove(*map(batches.key_of, names)))

    def finish(connection: sa.Connection) -> ShadowedDeployment:
        stored.add(connection, replayed.added)
        waiting.remove(connection, names)
        return ShadowedDeployment(rows=replayed.rows, failed_rows=replayed.failed_rows)

    return finish


def _read_calls(
    objects: store.Store, found: Sequence[segments.ShadowBatch], replayed: "_Replay"
) -> list[tuple[segments.ShadowShare, list[Call]]]:
    """Read the requests of batches, and list them by the shadow that is to predict them."""
    by_shadow: dict[tuple[int, str, int], tuple[segments.ShadowShare, list[Call]]] = {}
    for batch in found:
        try:
            with objects.open_read(batches.key_of(batch.name)) as file:
                calls = batches.read(file.read())
        except (FileNotFoundError, store.DamagedError) as error:
            for share in batch.shadows:
                replayed.lose(share, rows=share.rows, reason=f"its batch is gone or damaged ({type(error).__name__})")
            continue
        for share in batch.shadows:
            _, listed = by_shadow.setdefault((share.id, share.model, share.version), (share, []))
            listed += [call for call in calls if call.draw < share.percent]
    return list(by_shadow.values())


class _Replay:
    """What the shadows of a deployment say, as sums."""

    def __init__(
        self, tenant_id: str, deployment: str, snapshot: snapshots.Snapshot, *, find_version: FindVersion
    ) -> None:
        self.added: dict[stored.Key, sums.Sums] = {}
        self.rows = 0
        self.failed_rows = 0
        self._key = (tenant_id, deployment)
        self._find_version = find_version
        self._shadows = {shadow["model"]: shadow for shadow in snapshot.state.get("shadow", [])}
        pins = {reference: contract.ModelPin.model_validate(pin) for reference, pin in snapshot.pins.items()}
        self._pins = {reference: pins[reference] for reference in self._shadows}
        self._answering = {pin.label: pin for pin in pins.values()}
        self._splits = 0

    def lose(self, share: segments.ShadowShare, *, rows: int, reason: str, at_ms: int | None = None) -> None:
        """Count rows that the shadow never got."""
        self._add(share, "", sums.of_lost(reason, rows), at_ms=at_ms)

    def predict(self, share: segments.ShadowShare, calls: Sequence[Call]) -> None:
        """Let a shadow predict requests, but for those that it answered itself."""
        label = _shadow_of(share).label
        calls = [call for call in calls if any(version != label for version in call.versions)]
        if not calls:
            return
        rows = sum(call.rows for call in calls)
        shadow, pin = self._shadows.get(share.model), self._pins.get(share.model)
        if shadow is None or pin is None or (pin.version, shadow["id"]) != (share.version, share.id):
            self.lose(share, rows=rows, reason="the shadow was changed meanwhile", at_ms=calls[0].at_ms)
            return
        self.rows += rows
        try:
            version = self._find_version(pin)
        except Exception as error:
            if _is_passing(error):
                raise
            self._fail(share, calls, error)
            return
        columns = _choose_segments(pin.signature) if shadow["segments"] is None else shadow["segments"]
        self._splits = _SPLITS
        for part in _list_parts(calls):
            for predicted, answer in self._predict_part(share, version, part):
                self._compare(share, predicted, answer, problem=pin.problem, segments=columns)
        self._note_latencies(share, version, calls)

    def _predict_part(
        self, share: segments.ShadowShare, version: Version, calls: Sequence[Call]
    ) -> list[tuple[Sequence[Call], Answer]]:
        """Predict requests with the same columns together; where that fails, in halves, to find those that do."""
        given = {name: [value for call in calls for value in call.given[name]] for name in calls[0].given}
        try:
            return [(calls, version.predict(given, rows_count=sum(call.rows for call in calls)))]
        except Exception as error:
            if _is_passing(error):
                raise
            if len(calls) == 1 or self._splits <= 0:
                self._fail(share, calls, error)
                return []
        self._splits -= 1
        middle = len(calls) // 2
        first = self._predict_part(share, version, calls[:middle])
        return first + self._predict_part(share, version, calls[middle:])

    def _compare(
        self,
        share: segments.ShadowShare,
        calls: Sequence[Call],
        answer: Answer,
        *,
        problem: str,
        segments: Sequence[str],
    ) -> None:
        own = _shadow_of(share).label
        by_hour: dict[int, list[comparing.Row]] = collections.defaultdict(list)
        first = 0
        for call in calls:
            by_hour[stored.hour_of(call.at_ms)] += [
                comparing.Row(call, row, first + row) for row in range(call.rows) if call.version_of(row) != own
            ]
            first += call.rows
        for hour, rows in by_hour.items():
            compared = comparing.compare(rows, answer, problem=problem, segments=segments)
            for label, added in compared.items():
                self._add(share, label, added, at_ms=hour)

    def _note_latencies(self, share: segments.ShadowShare, version: Version, calls: Sequence[Call]) -> None:
        """Note how long the copies took, and how long both versions take here, one request after the other."""
        by_version: dict[str, list[Call]] = collections.defaultdict(list)
        for call in calls:
            if len(call.versions) == 1:
                by_version[call.versions[0]].append(call)
        for label, members in by_version.items():
            noted: sums.Sums = {"served": comparing.of_latencies([call.seconds for call in members])}
            sample = members[:: max(1, len(members) // _TIMED)][:_TIMED]
            pin = self._answering.get(label)
            timed = {"shadow": _time(version, sample)}
            if pin is not None and timed["shadow"]:
                timed["answering"] = self._time_other(pin, sample)
                noted["replayed"] = {who: comparing.of_latencies(seconds) for who, seconds in timed.items()}
            self._add(share, label, noted, at_ms=members[0].at_ms)

    def _time_other(self, pin: contract.ModelPin, sample: Sequence[Call]) -> list[float]:
        try:
            return _time(self._find_version(pin), sample)
        except Exception as error:  # noqa: BLE001 - it is another version's, and the rest is worth keeping.
            _log.warning("version_not_timed", version=pin.label, error=errors.to_reason(error))
            return []

    def _fail(self, share: segments.ShadowShare, calls: Sequence[Call], error: Exception) -> None:
        rows = sum(call.rows for call in calls)
        self.failed_rows += rows
        self._add(share, "", sums.of_failed(errors.to_reason(error), rows), at_ms=calls[0].at_ms)
        _log.info("shadow_failed", version=_shadow_of(share).label, rows=rows, error=errors.to_reason(error))

    def _add(
        self, share: segments.ShadowShare, answered_by: str, added: Mapping[str, Any], *, at_ms: int | None
    ) -> None:
        at_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
        key = stored.Key(*self._key, _shadow_of(share), answered_by, stored.hour_of(at_ms))
        self.added[key] = sums.merge(self.added.get(key, {}), added)


def _shadow_of(share: segments.ShadowShare) -> stored.Shadow:
    return stored.Shadow(share.id, share.model, share.version)


def _list_parts(calls: Sequence[Call]) -> list[list[Call]]:
    """Part requests into those that have the same columns, and not too many rows together."""
    parts: list[list[Call]] = []
    open_parts: dict[tuple[str, ...], tuple[list[Call], int]] = {}
    for call in calls:
        names = tuple(call.given)
        part, rows = open_parts.get(names, ([], 0))
        if not part or rows + call.rows > _ROWS:
            part, rows = [], 0
            parts.append(part)
        part.append(call)
        open_parts[names] = (part, rows + call.rows)
    return parts


def _choose_segments(signature: signatures.Signature) -> list[str]:
    """Choose the columns by whose values rows are told apart: booleans, and texts with few values in training."""
    described: Any = signature["columns"]
    chosen = [column["name"] for column in described if column["type"] == "boolean" or "categories" in column]
    return chosen[:_SEGMENTS]


def _time(version: Version, sample: Sequence[Call]) -> list[float]:
    """Measure how long a version takes for each request; those that it can't predict are left out."""
    seconds: list[float] = []
    for call in sample:
        if sum(seconds) > _TIMED_SECONDS:
            break
        began = time.perf_counter()
        try:
            version.predict(call.given, rows_count=call.rows)
        except Exception as error:
            if _is_passing(error):
                raise
            continue
        seconds.append(time.perf_counter() - began)
    return seconds


def _is_passing(error: Exception) -> bool:
    """Return whether an error says nothing of the version, since what runs it is away."""
    return isinstance(error, errors.RetryableError | errors.UnavailableError) or faults.find(error) is not None
