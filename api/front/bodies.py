"""Receives the bodies of requests on the event loop, so that a slow client holds no thread.

A small body is read before Flask sees the request. A larger one is read when Flask first wants it: until then the
request is only its head, and one without a valid key is refused without its body. The application raises `BodyWanted`,
the front receives the body into a temporary file, and Flask handles the request again, from its start.
"""

import asyncio
import io
import pathlib
import tempfile
from collections.abc import AsyncIterator
from typing import IO, TYPE_CHECKING, Any

import flask

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol

    from api.front.threads import Threads

SMALL_BYTES = 64 * 1024
SMALL_SECONDS = 30.0
"""How long a client may take to send a small body."""
_IDLE_SECONDS = 30.0
"""How long a client may pause while it sends a large one."""
_IN_MEMORY_BYTES = 256 * 1024
_DRAINED_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0
_DRAIN_IDLE_SECONDS = 0.5


class BodyWanted(BaseException):
    """Raised inside Flask where it wants a body that has not been received."""

    def __init__(self) -> None:
        """Note how large the body may be, and whose request it is."""
        super().__init__()
        self.max_bytes: int | None = flask.request.max_content_length
        self.key_id: str = flask.g.client.key_id if "client" in flask.g else ""


class TooSlowError(Exception):
    """The client did not send its body in time."""


class _Unread(io.RawIOBase):
    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def read(self, _size: int = -1) -> bytes:
        """Ask the front for the body."""
        raise BodyWanted

    def readinto(self, _buffer: Any) -> int:
        """Ask the front for the body."""
        raise BodyWanted


UNREAD = _Unread()


class Receiver:
    """Receives one request's body, once."""

    def __init__(self, protocol: "HTTPProtocol", environ: dict[str, Any]) -> None:
        """Receive the body of a request."""
        self._protocol = protocol
        self._environ = environ
        length = environ.get("CONTENT_LENGTH", "")
        self.length = int(length) if length.isdecimal() else None
        self.is_chunked = "HTTP_TRANSFER_ENCODING" in environ
        self._is_read = not self.length and not self.is_chunked

    async def receive_small(self) -> None:
        """Receive a body that is small by its declared length, and leave any other; raises TooSlowError."""
        if self._is_read:
            self._environ["wsgi.input"] = io.BytesIO()
        elif self.length is not None and self.length <= SMALL_BYTES and not self.is_chunked:
            self._is_read = True
            file = io.BytesIO()
            try:
                async with asyncio.timeout(SMALL_SECONDS):
                    async for chunk in self._protocol:
                        file.write(chunk)
                        if file.tell() >= self.length:
                            # To ask for more would take as long once more, and get nothing.
                            break
            except TimeoutError as error:
                raise TooSlowError from error
            file.seek(0)
            self._environ["wsgi.input"] = file

    async def receive_large(self, *, max_bytes: int | None, folder: pathlib.Path, threads: "Threads") -> IO[bytes]:
        """Receive a body into a temporary file, up to a byte more than the limit, and return it; raises TooSlowError.

        The application refuses what is larger, and counts what is missing.
        """
        self._is_read = True
        file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=str(folder))  # noqa: SIM115 - its reader closes it.
        size, chunks, chunks_bytes = 0, [], 0
        try:
            async for chunk in _each(self._protocol, idle_seconds=_IDLE_SECONDS):
                size += len(chunk)
                chunks.append(chunk)
                chunks_bytes += len(chunk)
                if chunks_bytes >= _IN_MEMORY_BYTES:
                    await threads.run(file.writelines, chunks)
                    chunks, chunks_bytes = [], 0
                if max_bytes is not None and size > max_bytes:
                    break
            file.writelines(chunks)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    async def drain(self) -> bool:
        """Read what the client still sends, within bounds, so that it gets the answer; False when more is to come."""
        if self._is_read:
            return True
        self._is_read = True
        if "HTTP_EXPECT" in self._environ:
            # Reading would ask for the body that the client has not sent yet.
            return False
        size = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for chunk in _each(self._protocol, idle_seconds=_DRAIN_IDLE_SECONDS):
                    size += len(chunk)
                    if size > _DRAINED_BYTES:
                        return False
        except (TimeoutError, TooSlowError):
            return False
        return True


async def _each(protocol: "HTTPProtocol", *, idle_seconds: float) -> AsyncIterator[bytes]:
    chunks = protocol.__aiter__()
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                chunk = await anext(chunks)
        except TimeoutError as error:
            raise TooSlowError from error
        except StopAsyncIteration:
            return
        yield chunk
