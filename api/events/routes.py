"""What happened: the event log, and the types of events."""

from typing import Any, Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, queries
from api.list_queries import PRINTABLE
from api.reads import events
from shared.events import cloud_events, types
from shared.jobs import stories

blueprint = flask_openapi.APIBlueprint("events", __name__, url_prefix="/v1", abp_tags=[{"name": "events"}])
BLUEPRINTS = (blueprint,)


class EventsQuery(queries.Query):
    """Which events to show."""

    type: str | None = pydantic.Field(
        default=None,
        max_length=1000,
        description="Only of these types, separated by commas: `job.failed`, `model.*`; with or without the prefix "
        "`dev.millrace.`.",
    )
    subject: str | None = pydantic.Field(
        default=None, max_length=200, pattern=PRINTABLE, description="Only of this subject: a job's id, `churn@3`."
    )
    correlation: str | None = pydantic.Field(
        default=None,
        max_length=100,
        pattern=PRINTABLE,
        description=f"Only of the story with this id: what was given as `{stories.HEADER}`, or the id of a job.",
    )
    order: Literal["oldest", "newest"] = pydantic.Field(default="oldest", description="Which events come first.")
    after: str | None = pydantic.Field(
        default=None, max_length=100, description="Go on behind the last page: its `next`, with the same order."
    )
    limit: int = pydantic.Field(default=100, ge=1, le=1000, description="How many events at most.")


class Event(documents.Document):
    """A CloudEvent 1.0."""

    specversion: Literal["1.0"]
    id: str = pydantic.Field(description="The same at every delivery; together with the source it is unique.")
    source: str = pydantic.Field(description="The role of which it tells.", examples=["/millrace/training"])
    type: str = pydantic.Field(description="What happened.", examples=["dev.millrace.job.succeeded"])
    subject: str = pydantic.Field(description="What it happened to.")
    time: str = pydantic.Field(description="When it was committed.")
    datacontenttype: str
    dataschema: str = pydantic.Field(description="The `$id` of the schema of its data, in `GET /v1/event-types`.")
    correlationid: str = pydantic.Field(description="The story to which it belongs.")
    millracetenant: str = pydantic.Field(description="Whose it is.")
    data: dict[str, Any]


class EventList(documents.Document):
    """Events, in the order of the log."""

    events: list[Event]
    next: str | None = pydantic.Field(
        description="The `after` of the next page. From the oldest event on it is always there, and what is logged "
        "later comes behind it; from the newest on it is null at the end."
    )


class EventTypeDescription(documents.Document):
    """A type of event."""

    type: str
    tells: str = pydantic.Field(description="What it tells.")
    subject: str = pydantic.Field(description="What its subject is.")
    data_schema: dict[str, Any] = pydantic.Field(description="The JSON Schema of its data.")


class EventTypeList(documents.Document):
    """All types of events."""

    event_types: list[EventTypeDescription]


@blueprint.get("/events", responses={200: EventList})
@auth.needs("read")
def list_events(query: EventsQuery) -> flask.Response:
    """List what happened, as CloudEvents; by its cursor one follows the log and misses nothing."""
    chosen = events.Filter(
        types=None if query.type is None else events.parse_types(query.type),
        subject=query.subject,
        correlation_id=query.correlation,
    )
    newest_first = query.order == "newest"
    read = events.page(
        *context.databases_and_tenant(), chosen, limit=query.limit, after=query.after, newest_first=newest_first
    )
    return answers.json(read)


@blueprint.get("/event-types", responses={200: EventTypeList})
@auth.needs("read")
def list_event_types() -> flask.Response:
    """List all types of events, each with the schema of its data."""
    descriptions = [
        {
            "type": f"{cloud_events.PREFIX}{type_.name}",
            "tells": type_.tells,
            "subject": type_.subject,
            "data_schema": types.schema_of(type_),
        }
        for type_ in types.TYPES.values()
    ]
    return answers.json({"event_types": descriptions})
