"""Events as others get them: CloudEvents 1.0, structured JSON."""

from typing import Any

from shared import clock
from shared.events import log, types

MEDIA_TYPE = "application/cloudevents+json"
PREFIX = "dev.millrace."
"""What the types of our events begin with outside."""
_SOURCE = "/millrace"


def to_cloud_event(event: log.Logged) -> dict[str, Any]:
    """Convert an event of the log to a CloudEvent."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": f"{_SOURCE}/{event.role}",
        "type": f"{PREFIX}{event.type}",
        "subject": event.subject,
        "time": clock.to_text(event.created_at),
        "datacontenttype": "application/json",
        "dataschema": types.schema_id_of(event.type),
        "correlationid": event.correlation_id,
        "millracetenant": event.tenant_id,
        "data": event.data,
    }
