"""Pins the order in which a request names the parts of a dataset, of which the first gets the earliest rows.

docs/decisions/processing.md, "The order of parts is pinned, since PostgreSQL keeps none"
"""

from typing import Any

from api.intake.orders import Acceptance
from shared.processing.splits import PARTS_PIN


def pin(acceptance: Acceptance) -> dict[str, Any]:
    """Pin the names of the parts as a list."""
    return {PARTS_PIN: list(acceptance.command.parts)}
