"""Receives the bodies of requests within bounds of bytes and time, and unpacks them."""

import asyncio
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared import errors

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol

SECONDS = 60.0
"""How long a client may take to send a body."""
_SMALL_BYTES = 1024
"""What is smaller can't unpack to much, and is unpacked on the event loop."""
_WHOLE_BYTES = 65_536
"""What announces at most this length is received in one piece."""
_LOOK_SECONDS = 1.0
_MAX_DIGITS = 18
_WINDOWS = {"gzip": 31, "deflate": 47}


class TooSlowError(errors.MalformedRequestError):
    """The body did not arrive in time."""


class Receiver:
    """Receives bodies on one event loop; a single timer watches all, since one for each costs more than receiving."""

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._deadlines: dict[asyncio.Task[Any], float] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._is_watching = False

    async def receive(self, protocol: "HTTPProtocol", *, headers: Mapping[str, str], max_bytes: int) -> bytes:
        """Receive and unpack a body; raises TooLargeError, TooSlowError, MalformedRequestError."""
        length, encoding = headers.get("content-length", ""), headers.get("content-encoding", "")
        # Its digits are counted first, since a number of thousands of them takes long to read.
        if length.isdecimal() and (len(length) > _MAX_DIGITS or int(length) > max_bytes):
            raise errors.TooLargeError(f"The body has more than {max_bytes:,} bytes.")
        # Longer than announced it can't be: the server reads no further, and what it reads in chunks is not announced.
        is_short = len(length) <= 5 and length.isdecimal() and int(length) <= min(_WHOLE_BYTES, max_bytes)
        if is_short and "transfer-encoding" not in headers:
            body = await self._receive_whole(protocol)
        else:
            body = await _receive_in_chunks(protocol, max_bytes=max_bytes)
        if not encoding or len(body) <= _SMALL_BYTES:
            return unpack(body, encoding=encoding, max_bytes=max_bytes)
        return await asyncio.to_thread(unpack, body, encoding=encoding, max_bytes=max_bytes)

    async def _receive_whole(self, protocol: "HTTPProtocol") -> bytes:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        if task is None:
            raise RuntimeError("bodies are received in a task of an event loop")
        self._deadlines[task] = loop.time() + SECONDS
        if not self._is_watching:
            self._is_watching = True
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        try:
            return await protocol()
        except asyncio.CancelledError as error:
            if task in self._overdue and task.uncancel() == 0:
                raise TooSlowError from error
            raise
        finally:
            del self._deadlines[task]
            self._overdue.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Interrupt what has waited too long, and look again as long as something waits."""
        now = loop.time()
        for task, deadline in self._deadlines.items():
            if deadline <= now and task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        self._is_watching = bool(self._deadlines)
        if self._is_watching:
            loop.call_later(_LOOK_SECONDS, self._look, loop)


async def _receive_in_chunks(protocol: "HTTPProtocol", *, max_bytes: int) -> bytes:
    chunks, size = [], 0
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in protocol:
                size += len(chunk)
                if size > max_bytes:
                    raise errors.TooLargeError(f"The body has more than {max_bytes:,} bytes.")
                chunks.append(chunk)
    except TimeoutError as error:
        raise TooSlowError from error
    return b"".join(chunks)


def unpack(body: bytes, *, encoding: str, max_bytes: int) -> bytes:
    """Unpack a body by its Content-Encoding."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOWS:
        raise errors.UnsupportedMediaTypeError(f"Content-Encoding is {name[:40]!r}; send gzip, deflate or none.")
    unpacker = zlib.decompressobj(_WINDOWS[name])
    try:
        unpacked = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        if name == "deflate":
            # Some clients send deflate without its header.
            return _unpack_raw(body, max_bytes=max_bytes)
        raise errors.MalformedRequestError(f"The body can't be unpacked as {name}: {error}.") from error
    return _require_whole(unpacker, unpacked, max_bytes=max_bytes)


def _unpack_raw(body: bytes, *, max_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(-15)
    try:
        unpacked = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise errors.MalformedRequestError(f"The body can't be unpacked as deflate: {error}.") from error
    return _require_whole(unpacker, unpacked, max_bytes=max_bytes)


def _require_whole(unpacker: "zlib._Decompress", unpacked: bytes, *, max_bytes: int) -> bytes:
    if len(unpacked) > max_bytes:
        raise errors.TooLargeError(f"The body has more than {max_bytes:,} bytes once it is unpacked.")
    if not unpacker.eof:
        raise errors.MalformedRequestError("The packed body ends too early.")
    if unpacker.unused_data:
        raise errors.MalformedRequestError("Something follows the packed body.")
    return unpacked
