"""The list of chores: what the sweeper does for each role, one file a chore."""

from typing import Protocol

from shared import database, settings
from sweeper import relay, ring, sweep, tidy
from sweeper.publisher import Connector


class Chore(Protocol):
    """A task that the sweeper repeats for one role."""

    seconds: float
    """The pause between two runs."""

    def do(self) -> None:
        """Do it once; if it raises, it is tried again at its next turn."""


def create_chores(
    role: str, *, config: settings.Settings, databases: database.Databases, connector: Connector
) -> list[Chore]:
    """Create the chores of a role; a new chore is one more line here."""
    engines = databases[role]
    return [
        sweep.Sweep(role, engines, seconds=config.sweep_seconds),
        ring.Ring(role, engines, config=config, connector=connector),
        relay.Relay(role, databases, connector=connector),
        tidy.Tidy(engines, config=config),
    ]
