"""Schedules: put, list, show, delete, and what became of their firings."""

from typing import Any, Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.intake import revisions
from api.intake.pipelines import scheduling
from api.reads.pipelines import schedules
from shared.orchestration.schedules.document import Schedule

blueprint = flask_openapi.APIBlueprint(
    "schedules", __name__, url_prefix="/v1/schedules", abp_tags=[{"name": "pipelines"}]
)


class ScheduleSummary(documents.Document):
    """A schedule, as lists show it."""

    name: str
    revision: int = pydantic.Field(description="How often it has been put; its ETag.")
    schedule: dict[str, Any] = pydantic.Field(description="The schedule as it was sent, with its defaults.")
    next_at: str | None = pydantic.Field(description="When it fires next; null when it is disabled or over.")
    last_run: str | None = pydantic.Field(description="The last run that it started.")
    created_by: str = pydantic.Field(description="The id of the API key with whose rights its runs act.")
    created_at: str
    updated_at: str


class ScheduleDetail(ScheduleSummary):
    """A schedule."""

    next: list[str] = pydantic.Field(description="Its next five firings.")


class ScheduleList(documents.Document):
    """Schedules in alphabetical order."""

    schedules: list[ScheduleSummary]
    next_cursor: str | None


class Firing(documents.Document):
    """What became of a firing, or of several that were missed."""

    at: str = pydantic.Field(description="When it was to be.")
    until: str = pydantic.Field(description="Of several the last one's time, else the same.")
    count: int = pydantic.Field(description="How many these are.")
    outcome: Literal["started", "skipped"]
    reason: str | None = pydantic.Field(description="Why it was skipped: `missed`, `overlap` or `refused`, and more.")
    run: str | None = pydantic.Field(description="The run that it started.")
    decided_at: str


class FiringList(documents.Document):
    """What became of a schedule's firings, the latest first."""

    name: str
    firings: list[Firing]
    next_cursor: str | None


@blueprint.put("/<name>", responses={200: ScheduleDetail})
@auth.needs("write")
def put(path: documents.NamePath, body: Schedule) -> flask.Response:
    """Let a pipeline run by itself, with the rights of this key; `If-Match` takes the schedule's ETag."""
    databases, expected = (
        context.current().databases,
        revisions.parse(flask.request.headers.get("If-Match"), of="schedule"),
    )
    scheduling.put(databases, path.name, body, client=context.client(), expected_revision=expected)
    return _answer(path.name)


@blueprint.get("", responses={200: ScheduleList})
@auth.needs("read")
def list_schedules(query: documents.NamesQuery) -> flask.Response:
    """List schedules in alphabetical order."""
    return answers.json(schedules.page(*context.databases_and_tenant(), limit=query.limit, cursor=query.cursor))


@blueprint.get("/<name>", responses={200: ScheduleDetail})
@auth.needs("read")
def show(path: documents.NamePath) -> flask.Response:
    """Show a schedule, and when it fires next."""
    return _answer(path.name)


@blueprint.get("/<name>/firings", responses={200: FiringList})
@auth.needs("read")
def list_firings(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """List what became of a schedule's firings, the latest first: runs, and why others were skipped."""
    databases, tenant_id = context.databases_and_tenant()
    page = schedules.page_of_firings(databases, tenant_id, path.name, limit=query.limit, cursor=query.cursor)
    return answers.json(page)


@blueprint.delete("/<name>", responses={204: None})
@auth.needs("write")
def delete(path: documents.NamePath) -> flask.Response:
    """Delete a schedule; runs that it started go on."""
    scheduling.delete(context.current().databases, path.name, client=context.client())
    return flask.Response(status=204)


def _answer(name: str) -> flask.Response:
    document = schedules.show(*context.databases_and_tenant(), name)
    response = answers.json(document)
    response.headers["ETag"] = f'"{document["revision"]}"'
    return response
