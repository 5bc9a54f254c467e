"""The data plane: answers rows by a deployment's versions, whatever protocol they came by."""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog

from shared import errors
from workers.prediction.online import measures, rows
from workers.prediction.online.breaker import Breaker
from workers.prediction.online.bulkhead import Bulkhead
from workers.prediction.online.choosing import choose
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.gate import Gate
from workers.prediction.online.graphs.compiling import DeployedGraph
from workers.prediction.online.graphs.running import GraphRunner
from workers.prediction.online.lookups.joining import Freshness
from workers.prediction.online.merging import Prediction, merge, pick
from workers.prediction.online.quick import NotQuickError
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.versions import Answer, Version

_log = structlog.get_logger()
Result = TypeVar("Result")
MAX_QUICK_BYTES = 32_768
"""How long a body may be that is read on the event loop."""
MAX_QUICK_LOOKUPS = 32
"""How many rows are looked up on the event loop; each takes some 20 µs."""


class NotReadyError(errors.UnavailableError):
    """No version of the deployment is loaded on this copy yet; try again in a moment."""


class TimeoutExceededError(errors.UnavailableError):
    """The deployment did not answer in time."""


class Plane:
    """Answers requests, as many at once for each deployment as it allows; used on one event loop.

    What takes a fraction of a millisecond is answered on the event loop, since the way to a thread and back takes as
    long, and everything else in threads.
    docs/decisions/serving.md, "What takes less than half a millisecond is answered on the event loop"
    """

    def __init__(self, recorder: Recorder | None = None) -> None:
        """Begin without threads; a recorder notes what is answered."""
        self._recorder = recorder or Recorder()
        self._bulkheads: dict[tuple[str, str], Bulkhead] = {}
        self._breaker = Breaker()
        self._inline: int | None = None
        """The thread that is answering on the event loop right now."""
        self._answered: list[tuple[Deployed, Version, float, int, bool]] = []
        """What versions have answered there, with seconds, rows, and whether the deployment chose them; noted once the
        whole request is answered there."""
        self._calls = measures.Calls()
        self._graphs = GraphRunner(self.predict, self._recorder, self._calls, self._breaker, self._answered)

    async def within(self, deployed: Deployed, work: Callable[[], Result], *, body_bytes: int | None = None) -> Result:
        """Do the work of a request, from reading its rows to writing its answer; in a thread unless it is quick.

        `body_bytes` is how much there is to read; without it the work takes place in a thread. It may be done twice,
        once on the event loop up to `predict` and then in a thread. Raises what it raises, TooManyRequestsError and
        TimeoutExceededError. A request that took too long keeps its place until its thread really ends.
        """
        bulkhead = self._find_bulkhead(deployed)
        if body_bytes is not None and self._may_be_quick(deployed, bulkhead, body_bytes):
            try:
                return self._do_inline(deployed, bulkhead, work)
            except NotQuickError:
                pass
        return await self._do_in_thread(deployed, bulkhead, work)

    def _may_be_quick(self, deployed: Deployed, bulkhead: Bulkhead, body_bytes: int) -> bool:
        return (
            body_bytes <= MAX_QUICK_BYTES
            and bool(deployed.versions)
            and deployed.versions[0].quick_rows > 0
            and bulkhead.gate.has_room(max_running=deployed.max_concurrency)
            and time.monotonic() >= bulkhead.slow_until
        )

    def _do_inline(self, deployed: Deployed, bulkhead: Bulkhead, work: Callable[[], Result]) -> Result:
        self._inline = threading.get_ident()
        self._answered.clear()
        try:
            result = bulkhead.do_inline(work)
        finally:
            self._inline = None
        self._calls.note_wait(deployed.tenant_id, deployed.name, seconds=0.0)
        for each, version, seconds, rows_count, is_sent in self._answered:
            if is_sent:
                self._recorder.note_call(each, version, seconds=seconds, failed=False)
            self._calls.note_answered(
                each.tenant_id, each.name, version.pin.label, seconds=seconds, rows_count=rows_count
            )
        return result

    async def _do_in_thread(self, deployed: Deployed, bulkhead: Bulkhead, work: Callable[[], Result]) -> Result:
        loop, began = asyncio.get_running_loop(), time.perf_counter()
        try:
            async with asyncio.timeout(deployed.timeout_seconds):
                await bulkhead.gate.enter(max_running=deployed.max_concurrency, max_waiting=deployed.max_waiting)
                self._calls.note_wait(deployed.tenant_id, deployed.name, seconds=time.perf_counter() - began)
                future = loop.run_in_executor(bulkhead.pool, work)
                future.add_done_callback(lambda done: _leave(bulkhead.gate, done))
                return await asyncio.shield(future)
        except TimeoutError as error:
            raise TimeoutExceededError(
                f"The deployment {deployed.name!r} did not answer within {deployed.timeout_seconds:g} s.",
                retry_after_seconds=1,
            ) from error

    def predict(
        self,
        deployed: Deployed,
        given: rows.Columns,
        *,
        rows_count: int,
        unit: str | None = None,
        version: Version | None = None,
    ) -> Prediction:
        """Predict rows by one version, or by those that the deployment chooses; in a thread.

        `unit` decides for all rows, before the sticky column does. Raises BadDataError, BadModelError, NotReadyError.
        """
        if isinstance(deployed, DeployedGraph):
            predict = self._graphs.predict_quickly if self._is_inline else self._graphs.predict
            return predict(deployed, given, rows_count=rows_count, unit=unit)
        began = time.perf_counter()
        if version is not None:
            given, features = self._join(deployed, version, given, rows_count=rows_count)
            if self._is_inline:
                answer = self._answer_quickly(deployed, version, given, rows_count=rows_count, is_sent=False)
            else:
                answer = self._call(deployed, version, given, rows_count=rows_count)
            labels = [version.pin.label] * rows_count
            predicted = Prediction(answer.columns, answer.values, labels, features=features)
            return self._recorder.note(deployed, given, predicted, [version], units=None, is_sent=False, began=began)
        chosen, units = choose(deployed, given, rows_count=rows_count, unit=unit)
        if not chosen:
            return Prediction([], [], [])
        predicted, joined = self._predict_chosen(deployed, chosen, given, rows_count=rows_count)
        return self._recorder.note(deployed, joined, predicted, chosen, units=units, is_sent=True, began=began)

    def _predict_chosen(
        self, deployed: Deployed, chosen: Sequence[Version | None], given: rows.Columns, *, rows_count: int
    ) -> tuple[Prediction, rows.Columns]:
        """Predict, and return the rows with what was looked up for them too."""
        if len(set(chosen)) == 1:
            given, features = self._join(deployed, chosen[0], given, rows_count=rows_count)
            answer, answering = self._answer(deployed, chosen[0], given, rows_count=rows_count)
            labels = [answering.pin.label] * rows_count
            return Prediction(answer.columns, answer.values, labels, features=features), given
        parts, looked_up = [], []
        for member in dict.fromkeys(chosen):
            members = [row for row, each in enumerate(chosen) if each is member]
            part: rows.Columns = {name: pick(values, members) for name, values in given.items()}
            part, features = self._join(deployed, member, part, rows_count=len(members))
            looked_up.append(features)
            parts.append((members, *self._answer(deployed, member, part, rows_count=len(members))))
        merged = dataclasses.replace(merge(parts, rows_count=rows_count), features=Freshness.oldest(looked_up))
        joined = deployed.join(chosen[0], given, rows_count=rows_count)[0] if deployed.keeps_rows else given
        return merged, joined

    def _join(
        self, deployed: Deployed, version: Version | None, given: rows.Columns, *, rows_count: int
    ) -> tuple[rows.Columns, Freshness | None]:
        """Join rows with what a deployment looks up for a version; NotQuickError for many, on the event loop."""
        if rows_count > MAX_QUICK_LOOKUPS and deployed.lookups and self._is_inline:
            raise NotQuickError
        return deployed.join(version, given, rows_count=rows_count)

    def require_thread(self) -> None:
        """Let the request that is being answered go on in a thread; for what takes long, before anything else."""
        if self._is_inline:
            raise NotQuickError

    def close(self) -> None:
        """End the threads that do nothing."""
        for bulkhead in self._bulkheads.values():
            bulkhead.pool.shutdown(wait=False, cancel_futures=True)

    @property
    def _is_inline(self) -> bool:
        """Whether the caller is answering on the event loop."""
        return self._inline == threading.get_ident()

    def _find_bulkhead(self, deployed: Deployed) -> Bulkhead:
        # Models that are not deployed may be thousands, so those of a tenant share their threads.
        key = (deployed.tenant_id, deployed.name if deployed.revision else "")
        bulkhead = self._bulkheads.get(key)
        if bulkhead is None or bulkhead.threads < deployed.max_concurrency:
            # What runs in the old threads goes on there.
            bulkhead = self._bulkheads[key] = Bulkhead(deployed.max_concurrency)
        return bulkhead

    def _answer(
        self, deployed: Deployed, version: Version | None, given: rows.Columns, *, rows_count: int
    ) -> tuple[Answer, Version]:
        """Let a version answer, or another one when it fails."""
        if version is None:
            raise NotReadyError(retry_after_seconds=1)
        if self._is_inline:
            return self._answer_quickly(deployed, version, given, rows_count=rows_count, is_sent=True), version
        substitute = deployed.substitute_for(version)
        if substitute is not None and self._breaker.is_open(version):
            # Else a version that is left out would look as if it didn't fail.
            self._recorder.note_call(deployed, version, seconds=0.0, failed=True)
            version, substitute = substitute, None
        began = time.perf_counter()
        try:
            answer = self._call(deployed, version, given, rows_count=rows_count)
        except errors.BadDataError:
            self._breaker.note_success(version)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, another version may do better.
            self._breaker.note_failure(version)
            self._recorder.note_call(deployed, version, seconds=time.perf_counter() - began, failed=True)
            _log.error("version_failed", version=version.pin.label, error=errors.to_reason(error))
            return self._predict_instead(
                deployed, substitute, given, rows_count=rows_count, failed=version, error=error
            )
        self._breaker.note_success(version)
        self._recorder.note_call(deployed, version, seconds=time.perf_counter() - began, failed=False)
        return answer, version

    def _answer_quickly(
        self, deployed: Deployed, version: Version, given: rows.Columns, *, rows_count: int, is_sent: bool
    ) -> Answer:
        """Let a version answer that is known to be quick and well; NotQuickError where it is not, or it fails."""
        if rows_count > version.quick_rows or self._breaker.has_failures(version):
            raise NotQuickError
        began = time.perf_counter()
        try:
            answer = version.predict_quickly(given)
        except Exception as error:
            # It is done again in a thread, where failures are counted and bad data is refused.
            raise NotQuickError from error
        if answer is None:
            raise NotQuickError
        self._answered.append((deployed, version, time.perf_counter() - began, rows_count, is_sent))
        return answer

    def _predict_instead(
        self,
        deployed: Deployed,
        substitute: Version | None,
        given: rows.Columns,
        *,
        rows_count: int,
        failed: Version,
        error: Exception,
    ) -> tuple[Answer, Version]:
        try:
            if substitute is not None:
                return self._call(deployed, substitute, given, rows_count=rows_count), substitute
        except errors.BadDataError:
            raise
        except Exception as other:  # noqa: BLE001 - the first error tells more.
            _log.error("substitute_failed", version=failed.pin.label, error=errors.to_reason(other))
        raise errors.BadModelError(f"{failed.pin.label} has failed ({type(error).__name__})") from error

    def _call(self, deployed: Deployed, version: Version, given: rows.Columns, *, rows_count: int) -> Answer:
        return self._calls.time(
            deployed.tenant_id,
            deployed.name,
            version.pin.label,
            lambda: version.predict(given, rows_count=rows_count, asker=deployed.name),
            rows_count=rows_count,
        )


def _leave(gate: Gate, done: "asyncio.Future[Any]") -> None:
    gate.leave()
    # What nobody waits for any more must not be logged as lost.
    if not done.cancelled():
        done.exception()
