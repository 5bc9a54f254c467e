"""The list of chores: what the sweeper does for each role, one file a chore."""

from typing import Protocol

from shared import database, settings
from sweeper import relay, ring, sweep, tidy
from sweeper.line import Line


class Chore(Protocol):
    """Something that is to be done for one role again and again."""

    seconds: float
    """How often."""

    def do(self) -> None:
        """Do it once; whatever it raises, it is tried again at its next turn."""


def of_role(role: str, *, config: settings.Settings, databases: database.Databases, line: Line) -> list[Chore]:
    """Make the chores of a role; a new chore is one more line here."""
    engines = databases[role]
    return [
        sweep.Sweep(role, engines, seconds=config.sweep_seconds),
        ring.Ring(role, engines, config=config, line=line),
        relay.Relay(role, databases, line=line),
        tidy.Tidy(engines, config=config),
    ]
