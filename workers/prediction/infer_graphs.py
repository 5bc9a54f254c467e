"""Predicts the rows of jobs that wait for the same graph, by the deployments that it named when they were accepted."""

from collections.abc import Sequence

from shared import column_names, errors
from shared.prediction import graphs
from shared.prediction.contract import DeploymentRevision, Inferred
from workers.job import Job
from workers.prediction.infer import Deployments, FindVersion, Request
from workers.prediction.online import rows
from workers.prediction.online.graphs.executing import Answer, execute
from workers.prediction.online.merging import Prediction


def predict(
    jobs: Sequence[Job], requests: Sequence[Request], deployments: Deployments, *, find_version: FindVersion
) -> list[Inferred]:
    """Predict the rows of jobs that are pinned to a graph; the result of each, in order.

    Those whose members were the same are predicted together. Raises BadDataError for rows that don't fit, and
    BadModelError when a member can't predict, or too few of an ensemble can.
    """
    marks = [str(job.pinned["snapshot"]) for job in jobs]
    results: dict[str, Inferred] = {}
    for mark in dict.fromkeys(marks):
        alike = [position for position, each in enumerate(marks) if each == mark]
        part = [requests[position] for position in alike]
        inferred = _predict_alike(jobs[alike[0]], part, deployments, find_version=find_version)
        results |= {request.job_id: result for request, result in zip(part, inferred, strict=True)}
    return [results[request.job_id] for request in requests]


def _predict_alike(
    job: Job, requests: Sequence[Request], deployments: Deployments, *, find_version: FindVersion
) -> list[Inferred]:
    for request in requests:
        present = {name for instance in request.command.instances for name in instance}
        column_names.require(request.needs, present=present)
    counts = [len(request.command.instances) for request in requests]
    units = [request.command.unit for request, count in zip(requests, counts, strict=True) for _ in range(count)]
    draws = [request.job_id for request, count in zip(requests, counts, strict=True) for _ in range(count)]
    members = {name: deployments.find(job, pinned) for name, pinned in job.pinned["members"].items()}

    def ask(name: str, part: rows.Columns, positions: Sequence[int]) -> Prediction:
        return members[name].predict_rows(
            part,
            [units[position] for position in positions],
            draws=[draws[position] for position in positions],
            find_version=find_version,
        )

    label = str(job.pinned["deployment"])
    graph = graphs.read_state(deployments.find(job, {"deployment": label, "snapshot": job.pinned["graph"]}).state)
    if graph is None:
        raise errors.PermanentError(f"The deployment {label}, to which the job is pinned, is no graph.")
    given = rows.from_records([instance for request in requests for instance in request.command.instances])
    try:
        answer = execute(graph, given, rows_count=sum(counts), ask=ask)
    except errors.UnavailableError as error:
        raise errors.BadModelError(error.message) from error
    return _divide(answer, counts, label=label)


def _divide(answer: Answer, counts: Sequence[int], *, label: str) -> list[Inferred]:
    """Give each job what was answered of its rows."""
    name, _, revision = label.partition("@")
    names = [column.name for column in answer.columns]
    records = [dict(zip(names, row, strict=True)) for row in zip(*answer.values, strict=True)]
    versions = answer.versions or [label] * len(records)
    results, start = [], 0
    for count in counts:
        stop = start + count
        results.append(
            Inferred(
                predictions=records[start:stop],
                versions=versions[start:stop],
                deployment=DeploymentRevision(name=name, revision=int(revision)),
                failed_members=dict(answer.failed or {}),
            )
        )
        start = stop
    return results
