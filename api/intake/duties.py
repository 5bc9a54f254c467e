"""What only one kind of job needs when it is accepted: further pins, or an action right after it.

The code that accepts jobs knows no kind; a kind with such duties has a row in `DUTIES`. See docs/decisions/kinds.md,
"What only one kind needs at acceptance is a row in a table of duties".
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from api.intake import deployment_pins, inventories, log_pins, part_names, retention, training_data
from api.intake.orders import Acceptance
from api.intake.pipelines import run_pins
from shared.orchestration.contract import RUN
from shared.prediction.contract import BATCH, INFER, LOG_DATASET
from shared.processing.splits import SPLIT
from shared.storage.contract import EXPORT, PRUNE, VERIFY
from shared.training import exports


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duties:
    """The duties of one kind."""

    pin: Callable[[Acceptance], dict[str, Any]] = lambda _acceptance: {}
    """Makes pins that don't follow from a reference in the command."""
    after: Callable[[Acceptance], None] = lambda _acceptance: None
    """Runs after the job was accepted; when it raises UnavailableError, the job is cancelled."""


NONE = Duties()
DUTIES: Mapping[str, Duties] = {
    exports.EXPORT.name: Duties(pin=training_data.pin),
    BATCH.name: Duties(pin=deployment_pins.pin),
    INFER.name: Duties(pin=deployment_pins.pin_with_rows),
    LOG_DATASET.name: Duties(pin=log_pins.pin),
    SPLIT.name: Duties(pin=part_names.pin),
    VERIFY.name: Duties(pin=inventories.pin_for_verify),
    PRUNE.name: Duties(pin=inventories.pin_for_prune, after=retention.retire),
    RUN.name: Duties(pin=run_pins.pin),
    EXPORT.name: Duties(pin=inventories.pin_for_export),
}
"""By the kind's name."""


def of(kind: str) -> Duties:
    """Look up a kind's duties, which are none for most."""
    return DUTIES.get(kind, NONE)
