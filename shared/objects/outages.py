"""Times in which the object store is away, as those see them who look again at their next turn."""

import contextlib
from collections.abc import Iterator

import structlog

from shared.objects import store

_log = structlog.get_logger()


class Outages:
    """Lets a turn pass while the store is away, and says so once for each outage."""

    def __init__(self, event: str) -> None:
        """Begin with the store there; `event` is what is logged of an outage."""
        self._event = event
        self.is_away = False
        """Whether the store was away at the last turn."""

    @contextlib.contextmanager
    def passing(self) -> Iterator[None]:
        """Run a turn, which is given up where the store, or the disk, is away."""
        try:
            yield
        except (store.StoreDownError, OSError) as error:
            if not self.is_away:
                _log.warning(self._event, error=type(error).__name__)
            self.is_away = True
        else:
            self.is_away = False
