"""Runs of pipelines: begin, list, show, cancel, resume."""

from typing import Any, Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, preferences, queries
from api.intake import cancelling, orders
from api.reads.pipelines import runs, versions
from shared import contract, errors
from shared.jobs.states import State
from shared.orchestration.contract import RUN
from shared.orchestration.language.document import StepName
from shared.orchestration.language.resuming import StepEdit
from shared.orchestration.moments import Moment

blueprint = flask_openapi.APIBlueprint(
    "runs", __name__, url_prefix="/v1/pipelines/<name>/runs", abp_tags=[{"name": "pipelines"}]
)
_RunState = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled", "dead"]


class RunRequest(contract.Document):
    """What a run is given."""

    params: dict[str, pydantic.JsonValue] = pydantic.Field(
        default={},
        max_length=200,
        description="Its parameters; those that are left out have their defaults.",
    )
    version: documents.VersionNumber | None = pydantic.Field(
        default=None, description="The pipeline's version; the latest when left out."
    )
    at: Moment | None = pydantic.Field(
        default=None,
        description="The moment that it is about, `${run.at}` (RFC 3339); when it begins, when left out.",
    )


class ResumeRequest(contract.Document):
    """What is done again, and with which changes."""

    from_: StepName | None = pydantic.Field(
        default=None,
        alias="from",
        description="A step that is done again even if it succeeded, with all that needs it.",
    )
    params: dict[str, pydantic.JsonValue] = pydantic.Field(
        default={}, max_length=200, description="Parameters with other values than in the run before."
    )
    steps: dict[StepName, StepEdit] = pydantic.Field(
        default={}, max_length=1000, description="Steps with other parameters, which are done again."
    )
    version: documents.VersionNumber | Literal["latest"] | None = pydantic.Field(
        default=None, description="Another version of the pipeline; steps that it changes are done again."
    )


class RunPath(documents.NamePath):
    """A run, in the path."""

    run_id: str = pydantic.Field(max_length=64, description="The run's id, which is that of its job.")


class RunsQuery(documents.NamesQuery):
    """Which runs to list."""

    state: State | None = pydantic.Field(default=None, description="The state of their jobs.")


class WaitingFor(documents.Document):
    """What something waits for."""

    kind: str = pydantic.Field(description="`needs`, `retry`, `submission` or `api`.")
    detail: str
    since: str | None = None


class StepInstance(documents.Document):
    """How far a step, or an item of it, is."""

    state: str = pydantic.Field(description="`waiting`, `running`, `succeeded`, `failed`, `cancelled` or `skipped`.")
    job_id: str | None
    attempt: int
    error: str | None = pydantic.Field(description="Why it failed, or why it was skipped.")
    waiting_for: WaitingFor | None


class StepItem(StepInstance):
    """How far an item is."""

    index: int


class RunStep(StepInstance):
    """How far a step is."""

    name: str
    items: dict[str, int] | None = pydantic.Field(
        default=None, description="Of a step with `for_each`: how many items are in each state."
    )
    shown: list[StepItem] | None = pydantic.Field(
        default=None, description="The first 100 of these items, those that failed before all others."
    )


class RunSummary(documents.Document):
    """A run, as lists show it."""

    id: str
    pipeline: str
    version: int | None = pydantic.Field(description="The version that was asked for; null for the latest.")
    state: _RunState
    params: dict[str, Any]
    resumes: str | None = pydantic.Field(description="The run that this one resumes.")
    tags: list[str]
    error: documents.JobFault | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class RunDetail(RunSummary):
    """A run with its steps."""

    correlation_id: str = pydantic.Field(description="The id that its jobs and events carry.")
    waiting_for: WaitingFor | None = pydantic.Field(description="What the run itself waits for, such as the API.")
    steps: list[RunStep] = pydantic.Field(description="In the order of their needs; empty until the run has begun.")
    at: str | None = pydantic.Field(description="The moment that it is about; null until it has begun.")
    outputs: dict[str, Any] | None = pydantic.Field(description="The results of its steps, once it has succeeded.")


class RunList(documents.Document):
    """A pipeline's runs, newest first."""

    runs: list[RunSummary]
    next_cursor: str | None


@blueprint.post("", responses={200: RunDetail, 202: RunDetail})
@auth.needs("write")
def begin(path: documents.NamePath, body: RunRequest, query: queries.SubmitQuery) -> flask.Response:
    """Begin a run of a pipeline."""
    params = {"pipeline": path.name, **body.model_dump(mode="json")}
    return _accept(path.name, params, query)


@blueprint.get("", responses={200: RunList})
@auth.needs("read")
def list_runs(path: documents.NamePath, query: RunsQuery) -> flask.Response:
    """List a pipeline's runs, newest first."""
    databases, tenant_id = context.databases_and_tenant()
    page = runs.page(databases, tenant_id, path.name, state=query.state, limit=query.limit, cursor=query.cursor)
    return answers.json(page)


@blueprint.get("/<run_id>", responses={200: RunDetail})
@auth.needs("read")
def show(path: RunPath) -> flask.Response:
    """Show a run, with the states of its steps and what they wait for."""
    return answers.json(runs.show(*context.databases_and_tenant(), path.name, path.run_id))


@blueprint.post("/<run_id>/cancel", responses={202: RunDetail})
@auth.needs("write")
def cancel(path: RunPath) -> flask.Response:
    """Cancel a run: it ends at once or within seconds, and then the jobs of its steps are cancelled."""
    databases, tenant_id = context.databases_and_tenant()
    runs.find(databases, tenant_id, path.name, path.run_id)
    cancelled = cancelling.cancel(databases, path.run_id, tenant_id=tenant_id)
    document = runs.show(databases, tenant_id, path.name, path.run_id)
    if cancelled is None and document["state"] != State.CANCELLED:
        raise errors.ConflictError(
            f"{path.run_id} is {document['state']}, which is final; only a run that is under way can be cancelled."
        )
    return _to_response(document, status=202)


@blueprint.post("/<run_id>/resume", responses={200: RunDetail, 202: RunDetail})
@auth.needs("write")
def resume(path: RunPath, body: ResumeRequest, query: queries.SubmitQuery) -> flask.Response:
    """Begin a new run that takes over what succeeded in an ended one, and does the rest again."""
    databases, tenant_id = context.databases_and_tenant()
    ended = runs.show(databases, tenant_id, path.name, path.run_id)
    edits: dict[str, Any] = {name: edit.model_dump(mode="json") for name, edit in body.steps.items()}
    if body.from_ is not None:
        edits.setdefault(body.from_, {"params": {}})
    version = versions.show(databases, tenant_id, path.name)["version"] if body.version == "latest" else body.version
    params = {
        "pipeline": path.name,
        "version": version or ended["version"],
        "params": body.params,
        "resumes": path.run_id,
        "edits": {"steps": edits},
    }
    return _accept(path.name, params, query)


def _accept(name: str, params: dict[str, Any], query: queries.SubmitQuery) -> flask.Response:
    """Accept a run and answer with it, or wait for its end when the client prefers that."""
    accepted = answers.accept(orders.make(RUN.name, params, pointer="#", **query.to_options()))
    preferred = preferences.read()
    seconds = preferred.wait_seconds

    def answer() -> flask.Response:
        databases, tenant_id = context.databases_and_tenant()
        row = runs.find(databases, tenant_id, name, accepted.document["id"])
        answers.require_success(row, preferred)
        is_done = seconds > 0 and row.is_terminal
        response = _to_response(runs.describe(databases, tenant_id, row), status=200 if is_done else 202)
        if is_done:
            response.headers["Preference-Applied"] = preferred.applied
        return response

    return answers.when_done(accepted, seconds=seconds, finish=answer) if seconds > 0 else answer()


def _to_response(document: dict[str, Any], *, status: int) -> flask.Response:
    response = answers.json(document, status=status)
    response.headers["Location"] = f"/v1/pipelines/{document['pipeline']}/runs/{document['id']}"
    if status == 202:
        response.headers["Retry-After"] = "1"
    return response
