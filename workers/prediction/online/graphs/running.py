"""Lets graphs answer on the data plane: their members are asked in the graph's own thread, and all is counted."""

import time
from collections.abc import Callable, Sequence

from shared import errors
from workers.prediction.online import measures, rows
from workers.prediction.online.breaker import Breaker
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.graphs.compiling import DeployedGraph
from workers.prediction.online.graphs.executing import execute
from workers.prediction.online.merging import Prediction
from workers.prediction.online.quick import NotQuickError
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.versions import Version


class LeftOutError(errors.UnavailableError):
    """The only version of this member has failed several times in a row, and is left out for some seconds."""


class GraphRunner:
    """Answers by graphs, given how a deployment of versions answers; from any thread."""

    def __init__(
        self,
        ask: Callable[..., Prediction],
        recorder: Recorder,
        calls: measures.Calls,
        breaker: Breaker,
        answered: list[tuple[Deployed, Version, float, int, bool]],
    ) -> None:
        """Ask members by the plane's `predict`, so that each keeps its weights, look-ups and shadows.

        What is answered on the event loop is added to `answered`, for the plane to count once all is.
        """
        self._ask = ask
        self._recorder = recorder
        self._calls = calls
        self._breaker = breaker
        self._answered = answered

    def predict(self, deployed: DeployedGraph, given: rows.Columns, *, rows_count: int, unit: str | None) -> Prediction:
        """Predict rows in a thread, and count the call; raises what `execute` and members raise."""
        version = _describe(deployed)
        began = time.perf_counter()
        try:
            predicted = self._calls.time(
                deployed.tenant_id,
                deployed.name,
                version.pin.label,
                lambda: self._predict(deployed, version, given, rows_count=rows_count, unit=unit, is_inline=False),
                rows_count=rows_count,
            )
        except errors.BadDataError:
            raise
        except errors.MillraceError:
            self._recorder.note_call(deployed, version, seconds=time.perf_counter() - began, failed=True)
            raise
        self._recorder.note_call(deployed, version, seconds=time.perf_counter() - began, failed=False)
        return predicted

    def predict_quickly(
        self, deployed: DeployedGraph, given: rows.Columns, *, rows_count: int, unit: str | None
    ) -> Prediction:
        """Predict rows on the event loop; NotQuickError where some member can't, and what `execute` raises."""
        version = _describe(deployed)
        if rows_count > version.quick_rows:
            raise NotQuickError
        began = time.perf_counter()
        predicted = self._predict(deployed, version, given, rows_count=rows_count, unit=unit, is_inline=True)
        self._answered.append((deployed, version, time.perf_counter() - began, rows_count, True))
        return predicted

    def _predict(
        self,
        deployed: DeployedGraph,
        version: Version,
        given: rows.Columns,
        *,
        rows_count: int,
        unit: str | None,
        is_inline: bool,
    ) -> Prediction:
        def ask(name: str, part: rows.Columns, positions: Sequence[int]) -> Prediction:
            member = deployed.members.get(name)
            if member is None:
                raise errors.UnavailableError(f"this copy has no deployment {name!r}", retry_after_seconds=1)
            # On the event loop nobody is asked who has failed, and the breaker's trial must not be used up.
            if not is_inline and self._is_left_out(member):
                raise LeftOutError(retry_after_seconds=1)
            return self._ask(member, part, rows_count=len(positions), unit=unit)

        answer = execute(deployed.graph, given, rows_count=rows_count, ask=ask)
        for name in answer.failed or ():
            measures.note_left_out((deployed.tenant_id, deployed.name), name)
        versions = answer.versions or [version.pin.label] * rows_count
        ids = self._recorder.note_rows(
            deployed,
            [version],
            versions,
            units=None if unit is None else [unit],
            values=answer.values[0],
            is_sent=False,
        )
        return Prediction(
            answer.columns,
            answer.values,
            versions,
            ids=ids,
            features=answer.features,
            members=answer.members,
            failed_members=answer.failed,
        )

    def _is_left_out(self, member: Deployed) -> bool:
        """Return whether a member's breaker leaves out its only version; where there are others the plane looks."""
        return len(member.versions) == 1 and member.fallback is None and self._breaker.is_open(member.versions[0])


def _describe(deployed: DeployedGraph) -> Version:
    """Return what describes a graph; UnavailableError while too few of its members are loaded here."""
    if not deployed.versions:
        raise errors.UnavailableError(
            f"Too few of the deployments that {deployed.name!r} names are loaded on this copy yet; try again in a "
            "moment.",
            retry_after_seconds=1,
        )
    return deployed.versions[0]
