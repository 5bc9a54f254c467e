"""Publisher confirms of RabbitMQ, tracked while publishing goes on."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Confirms(Generic[T]):
    """Tracks what was published on a channel and is not confirmed by RabbitMQ yet."""

    def __init__(self, channel: Any, *, on_ack: Callable[[T], None], on_nack: Callable[[T], None]) -> None:
        """Put the channel into confirm mode."""
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        self._callbacks = (on_ack, on_nack)
        self._tag = 0
        self.outstanding: dict[int, T] = {}

    def add(self, item: T) -> None:
        """Track an item that is about to be published on the channel."""
        self._tag += 1
        self.outstanding[self._tag] = item

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - the signature that amqp calls.
        self._resolve(tag, multiple=multiple, callback=self._callbacks[0])

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - the signature that amqp calls.
        self._resolve(tag, multiple=multiple, callback=self._callbacks[1])

    def _resolve(self, tag: int, *, multiple: bool, callback: Callable[[T], None]) -> None:
        tags = [earlier for earlier in self.outstanding if earlier <= tag] if multiple else [tag]
        for confirmed in tags:
            if confirmed in self.outstanding:
                callback(self.outstanding.pop(confirmed))
