"""One attempt to deliver an event: the signed CloudEvent, and what its receiver's answer means."""

import orjson

from shared import errors
from shared.events import cloud_events
from shared.outbound import posting, retry_after, user_agent
from shared.webhooks import signatures
from shared.webhooks.deliveries import Leased
from shared.webhooks.schedule import Outcome

SECONDS = 20.0
"""What an attempt may take in whole, from looking up the host to the end of the answer."""
_USER_AGENT = user_agent.build()


def make(poster: posting.Poster, leased: Leased) -> Outcome:
    """Make an attempt; what goes wrong is an outcome too."""
    if leased.event is None:
        return Outcome(error="The event log no longer has this event.", is_final=True)
    body = orjson.dumps(leased.event)
    headers = {
        "Content-Type": cloud_events.MEDIA_TYPE,
        "User-Agent": _USER_AGENT,
        **signatures.sign(body, message_id=leased.event_id, timestamp=leased.at_ms // 1000, secrets=leased.secrets),
    }
    try:
        return to_outcome(poster.post(body, headers=headers, seconds=SECONDS))
    except errors.MillraceError as error:
        return Outcome(error=error.message)
    except Exception as error:  # noqa: BLE001 - else it would be tried again without end, and never counted.
        return Outcome(error=f"The attempt has failed unexpectedly ({type(error).__name__}).")


def to_outcome(answer: posting.Answer) -> Outcome:
    """Read an answer: 2xx is success, all else is not; redirects are never followed."""
    status = answer.status
    if status // 100 == 2:
        return Outcome(status=status)
    hint = "; redirects are not followed, so set the URL to which it leads" if status // 100 == 3 else ""
    wait = retry_after.parse(answer.headers.get("retry-after", ""))
    return Outcome(status=status, error=f"The receiver answered {status}{hint}.", retry_after_seconds=wait)
