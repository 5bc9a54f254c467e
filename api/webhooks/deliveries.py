"""What is delivered to webhooks: lists, tests, replays."""

from typing import Annotated, Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.intake.webhooks import replays
from api.reads import criteria
from api.reads.webhooks import pages
from api.webhooks.documents import Delivery, DeliveryList, Replay
from shared import contract, database, roles
from shared.webhooks.document import EventType
from shared.webhooks.states import DeliveryState

blueprint = flask_openapi.APIBlueprint(
    "deliveries", __name__, url_prefix="/v1/webhooks", abp_tags=[{"name": "webhooks"}]
)


class DeliveriesQuery(documents.NamesQuery):
    """Which deliveries to list."""

    state: DeliveryState | None = pydantic.Field(default=None, description="Only those in this state.")


class DeliveryPath(documents.NamePath):
    """A webhook's name and a delivery's id, in the path."""

    delivery_id: str = pydantic.Field(max_length=64, description="The delivery's id.")


class ReplayRequest(contract.Document):
    """Which deliveries that have ended are sent again."""

    state: Literal["failed", "delivered"] = pydantic.Field(default="failed", description="Those in this state.")
    type: Annotated[EventType | None, pydantic.Field(description="Only this type of events, or group: `job.*`.")] = None
    since: str | None = pydantic.Field(
        default=None, max_length=40, description="Only deliveries made at this time (RFC 3339) or later."
    )
    until: str | None = pydantic.Field(
        default=None, max_length=40, description="Only deliveries made before this time (RFC 3339)."
    )
    dry_run: bool = pydantic.Field(default=False, description="Only count them.")


@blueprint.get("/<name>/deliveries", responses={200: DeliveryList})
@auth.needs("read")
def list_deliveries(path: documents.NamePath, query: DeliveriesQuery) -> flask.Response:
    """List what was sent to a webhook, and what is to be sent, newest first."""
    page = pages.page_of_deliveries(
        *context.databases_and_tenant(), path.name, state=query.state, limit=query.limit, cursor=query.cursor
    )
    return answers.json(page)


@blueprint.post("/<name>/test", responses={200: Delivery})
@auth.needs("write")
def send_test(path: documents.NamePath) -> flask.Response:
    """Send a webhook an event of the type `webhook.test`, whatever types it gets; the answer is its delivery."""
    databases, tenant_id = context.databases_and_tenant()
    with database.available(roles.API), databases[roles.API].transactions.begin() as connection:
        delivery_id = replays.send_test(connection, tenant_id, path.name)
    return answers.json(pages.show_delivery(databases, tenant_id, path.name, delivery_id))


@blueprint.post("/<name>/deliveries/<delivery_id>/replay", responses={200: Delivery})
@auth.needs("write")
def replay(path: DeliveryPath) -> flask.Response:
    """Send a delivery again, with the same `webhook-id`; one that waits is due at once."""
    databases, tenant_id = context.databases_and_tenant()
    with database.available(roles.API), databases[roles.API].transactions.begin() as connection:
        replays.replay(connection, tenant_id, path.name, path.delivery_id)
    return answers.json(pages.show_delivery(databases, tenant_id, path.name, path.delivery_id))


@blueprint.post("/<name>/deliveries/replay", responses={200: Replay})
@auth.needs("write")
def replay_all(path: documents.NamePath, body: ReplayRequest) -> flask.Response:
    """Send all deliveries of a filter again; with `dry_run` only say how many they are."""
    databases, tenant_id = context.databases_and_tenant()
    period = criteria.parse_period(body.since, body.until)
    chosen = replays.Filter(state=DeliveryState(body.state), type=body.type, since=period.since, until=period.until)
    with database.available(roles.API), databases[roles.API].transactions.begin() as connection:
        count = replays.replay_all(connection, tenant_id, path.name, chosen, dry_run=body.dry_run)
    return answers.json({"count": count, "dry_run": body.dry_run})
