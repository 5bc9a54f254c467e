"""Secrets and signatures as Standard Webhooks has them: `whsec_…`, and `v1,` with an HMAC-SHA256.

docs/decisions/webhooks.md, "A webhook's secret is computed, and stands in no row".
"""

import base64
import hmac
import secrets
from collections.abc import Iterable

_SALT_BYTES = 24


def make_salt() -> str:
    """Make what one secret of a webhook differs by from its others; it is no secret itself."""
    return secrets.token_hex(_SALT_BYTES)


def compute_secret(key: bytes, *, webhook_id: str, salt: str) -> bytes:
    """Compute a secret of a webhook, 32 bytes, from its tenant's key."""
    return hmac.digest(key, f"webhook {webhook_id} {salt}".encode(), "sha256")


def to_text(secret: bytes) -> str:
    """Write a secret as receivers configure it."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def sign(body: bytes, *, message_id: str, timestamp: int, secrets: Iterable[bytes]) -> dict[str, str]:
    """Sign a body with one or several secrets; returns the three headers of the standard.

    `timestamp` is in seconds since 1970.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = [f"v1,{base64.b64encode(hmac.digest(secret, content, 'sha256')).decode()}" for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
