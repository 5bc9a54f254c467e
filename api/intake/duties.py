"""What only one kind of job needs when it is accepted: further pins, or something to do once it is.

Accepting itself knows no kind. A kind that has duties has a row in `DUTIES`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from api.intake import inventories, retention, training_data
from api.intake.orders import Acceptance
from shared.storage.contract import EXPORT, PRUNE, VERIFY
from shared.training import exports


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duties:
    """The duties of one kind."""

    pin: Callable[[Acceptance], dict[str, Any]] = lambda _acceptance: {}
    """Makes pins that no reference of the command names."""
    after: Callable[[Acceptance], None] = lambda _acceptance: None
    """Does what must follow the acceptance; a job for which it raises UnavailableError is cancelled."""


NONE = Duties()
DUTIES: Mapping[str, Duties] = {
    exports.EXPORT.name: Duties(pin=training_data.pin),
    VERIFY.name: Duties(pin=inventories.pin_for_verify),
    PRUNE.name: Duties(pin=inventories.pin_for_prune, after=retention.retire),
    EXPORT.name: Duties(pin=inventories.pin_for_export),
}
"""By the kind's name."""


def of(kind: str) -> Duties:
    """Look up a kind's duties, which are none for most."""
    return DUTIES.get(kind, NONE)
