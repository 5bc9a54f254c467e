"""Events as they are published: CloudEvents 1.0, structured JSON."""

from typing import Any

from shared import clock
from shared.jobs import outbox

SOURCE = "/millrace"


def to_cloud_event(event: outbox.OutgoingEvent, *, role: str) -> dict[str, Any]:
    """Convert an event that a role has committed to a CloudEvent."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": f"{SOURCE}/{role}",
        "type": f"dev.millrace.{event.type}",
        "subject": event.subject,
        "time": clock.to_text(event.created_at),
        "datacontenttype": "application/json",
        "millracetenant": event.tenant_id,
        # The pin is only for our own mirror of names; a receiver looks the subject up instead.
        "data": {key: value for key, value in event.data.items() if key != "pin"},
    }
