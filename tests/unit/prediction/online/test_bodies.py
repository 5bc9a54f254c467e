"""Bodies: short ones come in one piece, and who is too slow is refused, however many others are not."""

import asyncio
from typing import Any

import pytest

from shared import errors
from workers.prediction.online import bodies


class Protocol:
    """Hands a body over after a while, in one piece or in chunks, as granian does."""

    def __init__(self, body: bytes, *, seconds: float = 0.0) -> None:
        self._body = body
        self._seconds = seconds
        self.pieces = 0

    async def __call__(self) -> bytes:
        await asyncio.sleep(self._seconds)
        return self._body

    async def __aiter__(self) -> Any:
        for start in range(0, len(self._body), 10):
            await asyncio.sleep(self._seconds)
            self.pieces += 1
            yield self._body[start : start + 10]


def receive(protocol: Any, headers: dict[str, str], *, max_bytes: int = 1000) -> bytes:
    return asyncio.run(bodies.Receiver().receive(protocol, headers=headers, max_bytes=max_bytes))


@pytest.mark.parametrize(
    ("headers", "pieces"),
    [
        ({"content-length": "25"}, 0),
        ({}, 3),
        ({"content-length": "25", "transfer-encoding": "chunked"}, 3),
        ({"content-length": "70000"}, 3),
        ({"content-length": "+25"}, 3),
    ],
)
def test_only_what_announces_that_it_is_short_comes_in_one_piece(headers: dict[str, str], pieces: int) -> None:
    protocol = Protocol(bytes(25))
    assert receive(protocol, headers, max_bytes=100_000) == bytes(25)
    assert protocol.pieces == pieces


@pytest.mark.parametrize(("headers", "pieces"), [({"content-length": "100"}, 0), ({}, 4)])
def test_a_long_body_is_refused_before_it_has_arrived(headers: dict[str, str], pieces: int) -> None:
    protocol = Protocol(bytes(100))
    with pytest.raises(errors.TooLargeError, match="30 bytes"):
        receive(protocol, headers, max_bytes=30)
    assert protocol.pieces == pieces


def test_who_is_too_slow_is_refused_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SECONDS", 0.2)
    monkeypatch.setattr(bodies, "_LOOK_SECONDS", 0.05)

    async def crowd() -> list[Any]:
        receiver = bodies.Receiver()
        waits = [
            receiver.receive(Protocol(b"x", seconds=seconds), headers={"content-length": "1"}, max_bytes=10)  # type: ignore[arg-type]
            for seconds in (0.0, 60.0, 0.0, 60.0)
        ]
        return await asyncio.gather(*waits, return_exceptions=True)

    results = asyncio.run(crowd())
    assert [type(result) for result in results] == [bytes, bodies.TooSlowError, bytes, bodies.TooSlowError]


def test_a_request_that_is_interrupted_otherwise_is_not_called_slow() -> None:
    async def interrupt() -> None:
        receiver = bodies.Receiver()
        protocol: Any = Protocol(b"x", seconds=60)
        task = asyncio.create_task(receiver.receive(protocol, headers={"content-length": "1"}, max_bytes=10))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupt())
