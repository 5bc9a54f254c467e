"""Webhooks: put, list, show, delete, rotate the secret, enable."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.intake import revisions
from api.intake.webhooks import changes, hosts
from api.reads.webhooks import pages
from api.webhooks import deliveries
from api.webhooks.documents import WebhookDetail, WebhookList, WebhookWithSecret
from shared import contract, database, roles
from shared.webhooks.document import Webhook

blueprint = flask_openapi.APIBlueprint("webhooks", __name__, url_prefix="/v1/webhooks", abp_tags=[{"name": "webhooks"}])
BLUEPRINTS = (blueprint, deliveries.blueprint)
_DAY_SECONDS = 86_400


class RotationRequest(contract.Document):
    """How a secret is replaced."""

    keep_old_seconds: int = pydantic.Field(
        default=_DAY_SECONDS,
        ge=0,
        le=7 * _DAY_SECONDS,
        description="For how long what is sent is signed with the old secret too.",
    )


class EnableRequest(contract.Document):
    """How a webhook is enabled."""

    missed: bool = pydantic.Field(
        default=True,
        description="Whether it gets what happened while it was disabled, as far as the event log has it.",
    )


@blueprint.put("/<name>", responses={200: WebhookDetail, 201: WebhookWithSecret})
@auth.needs("write")
def put(path: documents.NamePath, body: Webhook) -> flask.Response:
    """Create or change a webhook, with `If-Match` only if nobody has changed it since; only 201 shows the secret."""
    current = context.current()
    hosts.require_allowed(body.url, allowlist=current.webhook_hosts)
    with database.available(roles.API), current.databases[roles.API].transactions.begin() as connection:
        change = changes.put(
            connection,
            path.name,
            body,
            client=context.client(),
            expected_revision=_read_expected_revision(),
            config=current.config,
        )
    return _answer(path.name, change, status=201 if change.secret else 200)


@blueprint.get("", responses={200: WebhookList})
@auth.needs("read")
def list_webhooks(query: documents.NamesQuery) -> flask.Response:
    """List webhooks in alphabetical order."""
    return answers.json(pages.page(*context.databases_and_tenant(), limit=query.limit, cursor=query.cursor))


@blueprint.get("/<name>", responses={200: WebhookDetail})
@auth.needs("read")
def show(path: documents.NamePath) -> flask.Response:
    """Show a webhook: what it gets, and how it fares."""
    return _to_response(pages.show(*context.databases_and_tenant(), path.name))


@blueprint.delete("/<name>", responses={204: None})
@auth.needs("write")
def delete(path: documents.NamePath) -> flask.Response:
    """Delete a webhook; nothing is sent to it any more."""
    databases, tenant_id = context.databases_and_tenant()
    with database.available(roles.API), databases[roles.API].transactions.begin() as connection:
        changes.delete(connection, tenant_id, path.name, expected_revision=_read_expected_revision())
    return flask.Response(status=204)


@blueprint.post("/<name>/rotate", responses={200: WebhookWithSecret})
@auth.needs("write")
def rotate(path: documents.NamePath, body: RotationRequest) -> flask.Response:
    """Give a webhook another secret, which is shown this once; the old one stays valid for a while."""
    current = context.current()
    with database.available(roles.API), current.databases[roles.API].transactions.begin() as connection:
        change = changes.rotate(
            connection,
            context.client().tenant_id,
            path.name,
            keep_old_seconds=body.keep_old_seconds,
            expected_revision=_read_expected_revision(),
            config=current.config,
        )
    return _answer(path.name, change)


@blueprint.post("/<name>/enable", responses={200: WebhookDetail})
@auth.needs("write")
def enable(path: documents.NamePath, body: EnableRequest) -> flask.Response:
    """Enable a webhook that is disabled, or end its pause; what waits is sent at once."""
    databases, tenant_id = context.databases_and_tenant()
    with database.available(roles.API), databases[roles.API].transactions.begin() as connection:
        change = changes.enable(
            connection, tenant_id, path.name, missed=body.missed, expected_revision=_read_expected_revision()
        )
    return _answer(path.name, change)


def _read_expected_revision() -> int | None:
    return revisions.parse(flask.request.headers.get("If-Match"), of="webhook")


def _answer(name: str, change: changes.Change, *, status: int = 200) -> flask.Response:
    document = pages.show(*context.databases_and_tenant(), name)
    return _to_response(document if change.secret is None else {**document, "secret": change.secret}, status=status)


def _to_response(document: dict[str, Any], *, status: int = 200) -> flask.Response:
    response = answers.json(document, status=status)
    response.headers["ETag"] = f'"{document["revision"]}"'
    if "secret" in document:
        response.headers["Cache-Control"] = "no-store"
    return response
