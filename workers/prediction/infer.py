"""Predicts the rows of jobs that wait for the same deployment, all at once."""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from shared import column_names, contract, database, errors, faults
from shared.prediction import shares, snapshots
from shared.prediction.contract import DeploymentRevision, Infer, Inferred
from workers.job import Job
from workers.prediction.online import rows
from workers.prediction.online.deployed import to_unit
from workers.prediction.online.merging import Prediction, merge, pick
from workers.prediction.online.versions import Answer, Version

_log = structlog.get_logger()
_MAX_DEPLOYMENTS = 100

FindVersion = Callable[[contract.ModelPin], Version]


@dataclasses.dataclass(frozen=True)
class Request:
    """The rows of one job, and what decides which version answers."""

    job_id: str
    command: Infer
    needs: Sequence[str]
    """The columns of which some row must have a value, or null."""


class Deployed:
    """A deployment as it was at a revision, with the version that answers each place."""

    def __init__(self, snapshot: snapshots.Snapshot) -> None:
        """Predict by the versions of a deployment, which are looked up when they are needed."""
        self._snapshot = snapshot
        self._pins = {reference: contract.ModelPin.model_validate(pin) for reference, pin in snapshot.pins.items()}
        self._routes: list[dict[str, Any]] = snapshot.state["routes"]
        self._table = shares.tabulate([route["ranges"] for route in self._routes])

    def predict(self, requests: Sequence[Request], *, find_version: FindVersion) -> list[Inferred]:
        """Predict the rows of several jobs together; the result of each, in order.

        Raises BadDataError for rows that don't fit, and BadModelError when neither a version nor its substitute can
        predict.
        """
        for request in requests:
            present = {name for instance in request.command.instances for name in instance}
            column_names.require(request.needs, present=present)
        instances = [instance for request in requests for instance in request.command.instances]
        given = rows.from_records(instances)
        chosen = [route for request in requests for route in self._choose(request)]
        records, labels = self._answer(given, chosen, find_version=find_version)
        revision = DeploymentRevision(name=self._snapshot.name, revision=self._snapshot.revision)
        results, start = [], 0
        for request in requests:
            stop = start + len(request.command.instances)
            results.append(Inferred(predictions=records[start:stop], versions=labels[start:stop], deployment=revision))
            start = stop
        return results

    @property
    def state(self) -> dict[str, Any]:
        """What it is."""
        return self._snapshot.state

    def predict_rows(
        self, given: rows.Columns, units: Sequence[str | None], *, draws: Sequence[str], find_version: FindVersion
    ) -> Prediction:
        """Predict rows, each with its unit where one is given, and with what stands for a draw; raises as `predict`."""
        key = self._snapshot.state["sticky_key"]
        values = given.get(key) if key is not None else None
        chosen = [
            self._route_of(unit if unit is not None else draw if key is None else to_unit(values and values[row]))
            for row, (unit, draw) in enumerate(zip(units, draws, strict=True))
        ]
        parts = []
        for route in dict.fromkeys(chosen):
            members = [row for row, each in enumerate(chosen) if each == route]
            part = {name: pick(column, members) for name, column in given.items()}
            parts.append((members, *self._answer_by(route, part, rows_count=len(members), find_version=find_version)))
        return merge(parts, rows_count=len(chosen))

    def _choose(self, request: Request) -> list[int]:
        """Choose the route of each row of a job."""
        command, key = request.command, self._snapshot.state["sticky_key"]
        if command.unit is None and key is not None:
            return [self._route_of(to_unit(instance.get(key))) for instance in command.instances]
        # The job's id stands for a draw: a job that is done once more has the same.
        unit = request.job_id if command.unit is None else command.unit
        return [self._route_of(unit)] * len(command.instances)

    def _route_of(self, unit: str) -> int:
        return self._table[shares.place_of(unit, seed=self._snapshot.name)]

    def _answer(
        self, given: rows.Columns, chosen: Sequence[int], *, find_version: FindVersion
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Let each route's version answer its rows; returns for each row its prediction and the version's label."""
        records: list[dict[str, Any]] = [{} for _ in chosen]
        labels = [""] * len(chosen)
        for route in dict.fromkeys(chosen):
            members = [row for row, each in enumerate(chosen) if each == route]
            is_all = len(members) == len(chosen)
            part = given if is_all else {name: pick(values, members) for name, values in given.items()}
            answer, version = self._answer_by(route, part, rows_count=len(members), find_version=find_version)
            names = [column.name for column in answer.columns]
            for row, values in zip(members, zip(*answer.values, strict=True), strict=True):
                records[row] = dict(zip(names, values, strict=True))
                labels[row] = version.pin.label
        return records, labels

    def _answer_by(
        self, route: int, given: rows.Columns, *, rows_count: int, find_version: FindVersion
    ) -> tuple[Answer, Version]:
        """Let a route's version answer, or its substitute where it can't."""
        failure: Exception | None = None
        for reference in self._list_references(route):
            pin = self._pins[reference]
            try:
                version = find_version(pin)
                return version.predict(given, rows_count=rows_count), version
            except (errors.BadDataError, errors.RetryableError, MemoryError):
                raise
            except Exception as error:
                if faults.find(error) is not None:
                    raise
                _log.error("version_failed", version=pin.label, error=errors.to_reason(error))
                failure = failure or error
        label = self._routes[route]["model"]
        raise errors.BadModelError(f"{label} has failed ({type(failure).__name__})") from failure

    def _list_references(self, route: int) -> list[str]:
        """List the versions that may answer for a route: its own, then the fallback, or that of most weight."""
        own, fallback = self._routes[route]["model"], self._snapshot.state["fallback"]
        others = sorted(self._routes, key=lambda each: -each["weight"])
        substitutes = [fallback["model"]] if fallback else [each["model"] for each in others]
        return [own, *[reference for reference in substitutes if reference != own][:1]]


class Deployments:
    """Reads the deployments to which jobs are pinned, and keeps those that were used last; none ever changes."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: collections.OrderedDict[tuple[str, str, str], Deployed] = collections.OrderedDict()

    def find(self, job: Job, pinned: Mapping[str, Any] | None = None) -> Deployed:
        """Find the deployment that a job is pinned to, or another that `pinned` names as a job's pins do.

        PermanentError when the database has it no more.
        """
        pinned = job.pinned if pinned is None else pinned
        key = (job.tenant_id, str(pinned["deployment"]), str(pinned["snapshot"]))
        if key not in self._kept:
            self._kept[key] = Deployed(read_snapshot(job, str(pinned["deployment"])))
        self._kept.move_to_end(key)
        while len(self._kept) > _MAX_DEPLOYMENTS:
            self._kept.popitem(last=False)
        return self._kept[key]


def read_snapshot(job: Job, label: str | None = None) -> snapshots.Snapshot:
    """Read the deployment that a job is pinned to, or another one, `name@revision`, that its pins name.

    PermanentError when the database has it no more.
    """
    label = label or str(job.pinned["deployment"])
    name, _, revision = label.partition("@")
    with database.of_process()[job.role].statements.connect() as connection:
        snapshot = snapshots.read(connection, tenant_id=job.tenant_id, name=name, revision=int(revision))
    if snapshot is None:
        raise errors.PermanentError(f"The deployment {label}, to which the job is pinned, is not known any more.")
    return snapshot
