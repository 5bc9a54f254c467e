"""When a delivery is tried again, when a webhook as a whole has a pause, and when it is given up.

The schedule is that of Standard Webhooks. What is answered decides: docs/decisions/webhooks.md, "Webhooks follow
Standard Webhooks, also in what an answer means".
"""

import dataclasses
import random

from shared.webhooks.states import DeliveryState

WAITS_SECONDS = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long each attempt waits after the one before."""
GIVEN_UP_SECONDS = sum(WAITS_SECONDS)
"""After how long without a success, in which a delivery had all its attempts, a webhook is disabled."""
_JITTER = 0.1
"""Attempts come up to this share later, so that those that failed together don't come back together."""
_THROTTLED = frozenset({429, 502, 504})
_FIRST_PAUSE_SECONDS = 10
_LONGEST_PAUSE_SECONDS = 600
_GONE = 410


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an attempt."""

    status: int | None = None
    """The status that the receiver answered; None when it answered none."""
    error: str | None = None
    """Why it failed, in our own words; None when it succeeded."""
    retry_after_seconds: int | None = None
    is_final: bool = False
    """Whether no further attempt can help."""

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants nothing any more."""
        return self.status == _GONE


def state_after(outcome: Outcome, *, attempts: int) -> DeliveryState:
    """Return a delivery's state after an attempt; `attempts` counts it."""
    if outcome.error is None:
        return DeliveryState.DELIVERED
    if outcome.is_final or attempts >= len(WAITS_SECONDS):
        return DeliveryState.FAILED
    return DeliveryState.PENDING


def wait_seconds(outcome: Outcome, *, attempts: int) -> float:
    """Compute how long a delivery waits for its next attempt, after so many."""
    wait = WAITS_SECONDS[min(attempts, len(WAITS_SECONDS) - 1)]
    return max(wait * random.uniform(1, 1 + _JITTER), outcome.retry_after_seconds or 0)  # noqa: S311 - no secret.


def pause_seconds(outcome: Outcome, *, throttles: int) -> int:
    """Compute how long the webhook as a whole has a pause, after so many such answers in a row; 0 for none."""
    doubled: int = min(_FIRST_PAUSE_SECONDS * 2 ** min(throttles, 10), _LONGEST_PAUSE_SECONDS)
    # Where nobody answers, the first time may be by chance.
    is_pausing = is_slow(outcome) and (outcome.status is not None or throttles > 0)
    return max(outcome.retry_after_seconds or 0, doubled if is_pausing else 0)


def is_slow(outcome: Outcome) -> bool:
    """Whether an answer, or none, says that the receiver is overloaded or away, and nothing of one event."""
    return outcome.status is None or outcome.status in _THROTTLED
