"""Waits for jobs on the event loop: a wait or a stream of events holds no thread."""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from api import deferred

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian._granian import RSGIHTTPStreamTransport

    from api.front.draining import Drain
    from api.front.threads import Threads


class Client:
    """The client of a request, who may go away."""

    def __init__(self, protocol: "HTTPProtocol") -> None:
        """Watch a request's connection."""
        self._gone = asyncio.ensure_future(_disconnect(protocol))

    @property
    def is_gone(self) -> bool:
        """Whether the client has disconnected."""
        return self._gone.done()

    async def wait(self, event: asyncio.Event, *, seconds: float) -> None:
        """Wait until an event is set, the client is gone or the time is over."""
        waiter = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({waiter, self._gone}, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()

    def close(self) -> None:
        """Watch no longer."""
        self._gone.cancel()


async def _disconnect(protocol: "HTTPProtocol") -> None:
    await protocol.client_disconnect()


async def wait_until_done(answer: deferred.WhenDone, protocol: "HTTPProtocol", *, drain: "Drain") -> bool:
    """Wait until a job has ended, the time is over or this process is to stop; False when the client is gone then."""
    with (
        contextlib.closing(answer),
        contextlib.closing(Client(protocol)) as client,
        answer.watcher.watch(answer.job_id, known_version=None) as ended,
        drain.sets(ended),
    ):
        await client.wait(ended, seconds=answer.deadline - time.monotonic())
        return not client.is_gone


async def send_events(
    events: deferred.JobEvents, protocol: "HTTPProtocol", *, threads: "Threads", drain: "Drain"
) -> None:
    """Send a job's events until it ends, its key or the client is gone, or this process is to stop."""
    transport = protocol.response_stream(200, events.headers.to_wsgi_list())
    with contextlib.closing(events), contextlib.closing(Client(protocol)) as client:
        while True:
            await transport.send_bytes(events.format())
            if events.has_ended or not await _changes(events, client, transport, threads=threads, drain=drain):
                return


async def _changes(
    events: deferred.JobEvents,
    client: Client,
    transport: "RSGIHTTPStreamTransport",
    *,
    threads: "Threads",
    drain: "Drain",
) -> bool:
    """Wait for a change of the job, and read it; False when there is nobody to send it to, or no time."""
    with events.watcher.watch(events.job.id, known_version=events.job.version) as changed, drain.sets(changed):
        while True:
            await client.wait(changed, seconds=deferred.KEEP_ALIVE_SECONDS)
            if client.is_gone or drain.has_begun or not await threads.run(events.read_again):
                return False
            if changed.is_set():
                return True
            await transport.send_bytes(deferred.KEEP_ALIVE)
