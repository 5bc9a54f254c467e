"""The documents that describe webhooks and deliveries."""

import pydantic

from api import documents
from shared.webhooks.states import DeliveryState


class WebhookSummary(documents.Document):
    """A webhook, without its secret."""

    name: str
    revision: int = pydantic.Field(description="How often it has been changed.")
    url: str
    types: list[str] = pydantic.Field(description="Which types of events it gets; none means all.")
    subject: str | None = pydantic.Field(description="What the subjects of its events begin with.")
    enabled: bool
    disabled_reason: str | None = pydantic.Field(description="Why it is disabled.")
    disabled_at: str | None
    failing_since: str | None = pydantic.Field(
        description="Since when nothing was delivered, although it was tried; null while all is well."
    )
    paused_until: str | None = pydantic.Field(
        description="Until when nothing is tried, because the receiver asked for it or doesn't answer."
    )
    delivered_at: str | None = pydantic.Field(description="When something was last delivered.")
    old_secret_valid_until: str | None = pydantic.Field(
        description="Until when what is sent is signed with the secret before the last one as well."
    )
    created_by: str = pydantic.Field(description="The id of the API key that created it.")
    created_at: str
    updated_at: str


class WebhookDetail(WebhookSummary):
    """A webhook, with how much waits."""

    pending: int = pydantic.Field(
        description="How many deliveries wait for an attempt. At 10,000 further events wait in the log."
    )


class WebhookWithSecret(WebhookDetail):
    """A webhook with its new secret, which no other answer shows."""

    secret: str = pydantic.Field(description="`whsec_` and base64 of 32 bytes; receivers check signatures with it.")


class WebhookList(documents.Document):
    """Webhooks in alphabetical order."""

    webhooks: list[WebhookSummary]
    next_cursor: str | None


class Delivery(documents.Document):
    """An event on its way to a webhook."""

    id: str
    event_id: str = pydantic.Field(description="The id of the event, which is sent as `webhook-id`.")
    type: str = pydantic.Field(description="The event's type, without `dev.millrace.`.")
    subject: str
    state: DeliveryState
    attempts: int = pydantic.Field(description="Attempts that have ended, since the last replay.")
    next_attempt_at: str | None = pydantic.Field(description="When the next attempt is due; null when none is to come.")
    status: int | None = pydantic.Field(description="The HTTP status that the receiver last answered.")
    error: str | None = pydantic.Field(description="Why the last attempt failed.")
    created_at: str
    attempted_at: str | None = pydantic.Field(description="When the last attempt ended.")
    ended_at: str | None = pydantic.Field(description="When it was delivered, or failed for good.")


class DeliveryList(documents.Document):
    """Deliveries, newest first."""

    deliveries: list[Delivery]
    next_cursor: str | None


class Replay(documents.Document):
    """What a replay sends again."""

    count: int = pydantic.Field(description="How many deliveries are sent again, or would be.")
    dry_run: bool = pydantic.Field(description="Whether they were only counted.")
