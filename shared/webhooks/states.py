"""The states of webhooks and of deliveries."""

import enum


class DeliveryState(enum.StrEnum):
    """The life of a delivery."""

    PENDING = "pending"
    """It is to be sent, for the first time or again."""
    DELIVERED = "delivered"
    """The receiver has answered 2xx."""
    FAILED = "failed"
    """All attempts have failed; a replay begins anew."""


class WebhookState(enum.StrEnum):
    """Whether a webhook gets anything."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    """By its owner, by a 410, or because nothing has reached it for days; nothing is lost meanwhile."""
