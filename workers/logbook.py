"""What is logged during an attempt at a job, kept in memory until it is written with the job.

A job that logs nothing writes nothing: docs/decisions/jobs.md, "What a job logs is kept with it, and a job that logs
nothing costs nothing". There is no lock here, because a stop may be raised at any moment, also in the middle of a log
line, and threads of libraries log too: lines are appended to a list, from which nothing is taken out, and each has its
place there.
"""

import contextlib
import dataclasses
import itertools
import math
import os
import queue
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
import structlog

from shared import database, storable, telemetry
from shared.jobs import ledger, log_lines

_log = structlog.get_logger()
_FLUSH_SECONDS = 2.0
_MAX_MESSAGE, _MAX_FIELD, _MAX_FIELDS = 1_000, 200, 16
"""The characters of a message and of a field, and how many fields a line may have."""
_SHARES = {"info": 0.9}
"""The share of a claim's lines and bytes that lines of a level may use, so that there is room for worse ones."""
_SHARE_OF_OTHERS = 0.98
_MAX_OWN_LINES = log_lines.MAX_LINES - 3
"""The others are for the start, the end, and how many were dropped."""
_OWN = frozenset({"job_error_raised", "job_retry_scheduled", "job_stop_raised_as_error", "job_stopped"})
"""Lines of the job's life, for which there is room to the last."""
_HIDDEN = r"(?i:(?:passw(?:or)?d|pwd|secret|token(?!s)|api[_-]?key|access[_-]?key|authorization|credential)[\w-]*)"
_SECRETS = (
    (re.compile(r"(\w://)[^\s'\"]*@"), r"\1***@"),
    (re.compile(r"\?[^\s'\"?]*=[^\s'\"]*"), "?***"),
    (re.compile(r"((?i:authorization)['\"]?\s*[=:]\s*).+"), r"\1***"),
    (re.compile(rf"({_HIDDEN}['\"]?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|\S+)"), r"\1***"),
)
"""Names and passwords in addresses, their queries, which may be signed, and what is called a secret."""
_HIDDEN_FIELD = re.compile(_HIDDEN)


@dataclasses.dataclass(frozen=True)
class _Entry:
    at: float
    level: str
    message: str
    fields: Mapping[str, Any]


class Logbook:
    """The lines of one attempt at a job."""

    def __init__(self, claim: ledger.Claim, *, role: str) -> None:
        """Begin the lines of a claim; none is taken before `opened`."""
        self.job_id = claim.job_id
        self._claim = claim
        self._role = role
        self._entries: list[_Entry] = []
        self._written = 0
        """How many of them are written."""
        self._bytes = self._dropped = 0
        # The first claim's start is in the job's row.
        start = "job_resumed" if claim.turns else "job_started"
        self._start = _Entry(time.monotonic(), "info", start, {}) if claim.attempt > 1 else None
        self._end: _Entry | None = None
        self._is_repeated = claim.attempt > 1 and claim.turns == 0
        self._is_announced = False

    def is_empty(self) -> bool:
        """Return whether there is nothing to write but what the job's row tells."""
        has_lines = len(self._entries) > self._written
        return not (has_lines or self._dropped or self._end or (self._is_repeated and self._start))

    def add(self, message: str, fields: Mapping[str, Any], *, level: str = "info") -> None:
        """Add a line, unless there are too many; what is too long is cut."""
        message, kept = _shorten(message, _MAX_MESSAGE), _to_fields(fields)
        size = len(message) + len(orjson.dumps(kept))
        share = 1.0 if message in _OWN else _SHARES.get(level, _SHARE_OF_OTHERS)
        has_room = len(self._entries) < share * _MAX_OWN_LINES and self._bytes + size <= share * log_lines.MAX_BYTES
        if not has_room:
            self._dropped += 1
            return
        self._bytes += size
        self._entries.append(_Entry(time.monotonic(), level, message, kept))
        self._announce()

    def end(self, message: str, fields: Mapping[str, Any], *, level: str) -> None:
        """Set the line of the job's end, which comes last."""
        self._end = _Entry(time.monotonic(), level, message, _to_fields(fields))

    def write(self, connection: sa.Connection) -> None:
        """Write what is not written yet, in the transaction that has just changed the job's row; may be repeated."""
        if self.is_empty():
            return
        lines = self._list_unwritten(len(self._entries))
        if self._dropped:
            entry = _Entry(time.monotonic(), "warning", "lines_dropped", {"dropped": self._dropped})
            lines.append(_to_line(entry, log_lines.LAST_PLACES["lines_dropped"]))
        if self._end:
            lines.append(_to_line(self._end, log_lines.END_PLACE))
        log_lines.append(connection, self._to_source(), lines)
        if self._claim.attempt > log_lines.KEPT_CLAIMS:
            log_lines.trim(connection, tenant_id=self._claim.tenant_id, job_id=self.job_id)

    def flush(self) -> None:
        """Write what is not written yet of a job that goes on, if it is still this attempt's."""
        self._is_announced = False
        count = len(self._entries)
        lines = [] if self.is_empty() else self._list_unwritten(count)
        if not lines:
            return
        with database.of_process()[self._role].relaxed.connect() as connection:
            log_lines.append_while_running(connection, self._to_source(), lines)
        self._start, self._written = None, count

    def _to_source(self) -> log_lines.Source:
        claim = self._claim
        return log_lines.Source(claim.job_id, claim.tenant_id, claim.attempt, claim.attempt - claim.turns)

    def _list_unwritten(self, count: int) -> list[log_lines.Line]:
        """Build the lines that are not written yet, of the first `count`."""
        first = self._written
        lines = [_to_line(entry, first + index + 1) for index, entry in enumerate(self._entries[first:count])]
        return lines if self._start is None else [_to_line(self._start, 0), *lines]

    def _announce(self) -> None:
        if not self._is_announced:
            self._is_announced = True
            _flusher.wake()

    def begin(self) -> None:
        """Take lines from now on; that a job is tried again is shown while it runs."""
        _open[self.job_id] = self
        if self._is_repeated:
            self._announce()

    def close(self) -> None:
        """Take no more lines: the job's end is written."""
        _open.pop(self.job_id, None)


@contextlib.contextmanager
def opened(books: Sequence[Logbook]) -> Iterator[None]:
    """Take lines for the jobs of one call of a body while the block runs, or until each is closed."""
    _flusher.prepare()
    _calls.append(books)
    for book in books:
        book.begin()
    try:
        yield
    finally:
        for book in books:
            book.close()
        _calls.remove(books)


def collect(message: str, *, level: str, job_id: str | None, fields: Mapping[str, Any]) -> None:
    """Add a line to the job that it is of; one that names none is of the call's jobs, if only one is under way."""
    if not _open or not _flusher.may_collect():
        return
    if job_id is None:
        books = _calls[0] if len(_calls) == 1 else []
        targets = [book for book in books if book.job_id in _open]
    else:
        targets = [_open[job_id]] if job_id in _open else []
    for book in targets:
        book.add(message, fields, level=level)


def _to_line(entry: _Entry, place: int) -> log_lines.Line:
    age_ms = int((time.monotonic() - entry.at) * 1000)
    return log_lines.Line(place, age_ms, entry.level, entry.message, entry.fields)


def _shorten(text: str, length: int) -> str:
    readable = storable.to_text(text[: 2 * length])
    for pattern, instead in _SECRETS:
        readable = pattern.sub(instead, readable)
    return readable if len(readable) <= length else f"{readable[: length - 1]}…"


def _to_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    few = itertools.islice(fields.items(), _MAX_FIELDS)
    return {
        _shorten(f"{name}", _MAX_FIELD): "***" if _HIDDEN_FIELD.search(f"{name}") else _to_field(value)
        for name, value in few
    }


def _to_field(value: Any) -> Any:
    if value is None or isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else f"{value}"
    try:
        return _shorten(f"{value}", _MAX_FIELD)
    except Exception:  # noqa: BLE001 - what can't be shown must not fail the job that logs it.
        return type(value).__name__


class _Flusher:
    """A thread that writes the lines of running jobs some seconds after they were logged, while there are any."""

    def __init__(self) -> None:
        self._pid = 0
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Serve this process from now on; the thread is started with the first line."""
        if self._pid != os.getpid():
            self._pid, self._wakes, self._thread = os.getpid(), queue.SimpleQueue(), None

    def may_collect(self) -> bool:
        """Return whether a line is a job's: not of a process that a body has forked, and not of the thread itself."""
        return self._pid == os.getpid() and threading.current_thread() is not self._thread

    def wake(self) -> None:
        """Write soon."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="logbook", daemon=True)
            try:
                self._thread.start()
            except (RuntimeError, MemoryError):
                # There is no memory for a thread now: the job's end writes its lines.
                self._thread = None
                return
        self._wakes.put(None)

    def _run(self) -> None:
        while True:
            self._wakes.get()
            time.sleep(_FLUSH_SECONDS)
            with contextlib.suppress(queue.Empty):
                while True:
                    self._wakes.get_nowait()
            for book in list(_open.values()):
                try:
                    book.flush()
                except database.FAULTS:
                    # The next one writes these too.
                    self._wakes.put(None)
                except Exception as error:  # noqa: BLE001 - the job's end writes them, or tells why not.
                    _log.error("job_lines_not_written", **telemetry.describe(error))


_open: dict[str, Logbook] = {}
"""By their ids, the jobs that lines are taken for."""
_calls: list[Sequence[Logbook]] = []
"""The calls of bodies that are under way: one in a pool's process."""
_flusher = _Flusher()
