"""What the test servers have in common: they are closed after use, and those of our own start, stop and die."""

import pathlib
import shutil
import signal
import time
from types import TracebackType
from typing import ClassVar, Self

from tests import servers_guard
from tests.servers_sources import ServerUnreachableError


class Closing:
    """A server that is closed at the end of a `with` block."""

    def close(self) -> None:
        """Leave nothing behind."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Return the server."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()


class Private(Closing):
    """A server of our own in a folder of its own, that tests may stop, kill and start again on the same port."""

    START_SECONDS: ClassVar[float]
    LOOK_SECONDS: ClassVar[float] = 0.05
    STOP_SIGNAL: ClassVar[signal.Signals] = signal.SIGTERM
    STOP_SECONDS: ClassVar[float]

    _folder: pathlib.Path
    _log: pathlib.Path
    _process: servers_guard.Guarded | None = None

    def _launch(self) -> servers_guard.Guarded:
        """Start the process, and do not wait."""
        raise NotImplementedError

    def _greet(self) -> None:
        """Speak with it as a client; raises ServerUnreachableError."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers; nothing happens when it runs."""
        if self._process is not None and self._process.alive():
            return
        self._end_guard()
        self._process = self._launch()
        until = time.monotonic() + self.START_SECONDS
        while True:
            try:
                self._greet()
            except ServerUnreachableError as error:
                if time.monotonic() > until or not self._process.alive():
                    raise ServerUnreachableError(f"{error}\n{self._log.read_text()[-2000:]}") from error
                time.sleep(self.LOOK_SECONDS)
            else:
                return

    def stop(self) -> None:
        """Shut it down in order, so that nothing is lost that the server keeps."""
        if self._process is not None:
            self._process.signal(self.STOP_SIGNAL)
            if not self._process.wait(timeout_seconds=self.STOP_SECONDS):
                self._process.kill()
            self._end_guard()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._end_guard()

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end_guard(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None
