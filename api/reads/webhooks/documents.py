"""Webhooks and deliveries as documents."""

from typing import Any

import sqlalchemy as sa

from shared import clock
from shared.webhooks.states import DeliveryState, WebhookState


def describe(row: sa.Row[Any], *, now: int) -> dict[str, Any]:
    """Describe a webhook; its secret is in none of this."""
    earlier = [each["until"] for each in row.earlier_salts if each["until"] > now]
    return {
        "name": row.name,
        "revision": row.revision,
        "url": row.url,
        "types": row.types,
        "subject": row.subject,
        "enabled": row.state == WebhookState.ENABLED,
        "disabled_reason": row.disabled_reason,
        "disabled_at": clock.to_text(row.disabled_at),
        "failing_since": clock.to_text(row.failing_since),
        "paused_until": clock.to_text(row.paused_until) if row.paused_until > now else None,
        "delivered_at": clock.to_text(row.delivered_at),
        "old_secret_valid_until": clock.to_text(max(earlier, default=None)),
        "created_by": row.created_by,
        "created_at": clock.to_text(row.created_at),
        "updated_at": clock.to_text(row.updated_at),
    }


def describe_delivery(row: sa.Row[Any]) -> dict[str, Any]:
    """Describe a delivery."""
    is_pending = row.state == DeliveryState.PENDING
    return {
        "id": row.id,
        "event_id": row.event_id,
        "type": row.type,
        "subject": row.subject,
        "state": row.state,
        "attempts": row.attempts,
        "next_attempt_at": clock.to_text(row.due_at) if is_pending else None,
        "status": row.status,
        "error": row.error,
        "created_at": clock.to_text(row.created_at),
        "attempted_at": clock.to_text(row.attempted_at),
        "ended_at": clock.to_text(row.ended_at),
    }
