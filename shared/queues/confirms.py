"""Publisher confirms, tracked while publishing goes on."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Confirms(Generic[T]):
    """Knows what was published on a channel and not yet confirmed by RabbitMQ."""

    def __init__(self, channel: Any, *, on_ack: Callable[[T], None], on_nack: Callable[[T], None]) -> None:
        """Put the channel into confirm mode."""
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        self._report = (on_ack, on_nack)
        self._tag = 0
        self.outstanding: dict[int, T] = {}

    def add(self, item: T) -> None:
        """Note what is about to be published on the channel."""
        self._tag += 1
        self.outstanding[self._tag] = item

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - amqp calls it so.
        self._settle(tag, multiple=multiple, report=self._report[0])

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - amqp calls it so.
        self._settle(tag, multiple=multiple, report=self._report[1])

    def _settle(self, tag: int, *, multiple: bool, report: Callable[[T], None]) -> None:
        settled = [waiting for waiting in self.outstanding if waiting <= tag] if multiple else [tag]
        for waiting in settled:
            if waiting in self.outstanding:
                report(self.outstanding.pop(waiting))
