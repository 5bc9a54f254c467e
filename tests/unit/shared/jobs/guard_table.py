"""Which check misses which guard."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from tests.unit.rig import Rig


class Check:
    """A behaviour that a guard brings about.

    Where two guards stand in for each other (an inner select and its outer UPDATE say the same, or a lock keeps a race
    away), the check runs `beside` the other's absence: it holds without that one, and fails without both.
    """

    def __init__(
        self,
        act: Callable[..., object],
        *,
        on: Literal["sqlite", "postgresql"] = "sqlite",
        beside: str = "",
        **values: Any,
    ) -> None:
        """Keep what to do, on which database, with which arguments."""
        self._act = act
        self.on = on
        self.beside = (beside,) if beside else ()
        self._values = values

    def run(self, rig: Rig) -> None:
        """Raise AssertionError when the behaviour is not there."""
        self._act(rig, **self._values)


Checks = Mapping[str, Sequence[Check]]
"""Checks by the guard that each of them misses; every one must miss it."""
