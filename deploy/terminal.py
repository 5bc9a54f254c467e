"""What `make up` prints: what runs, then what happens, as short lines for a reader or as JSON lines for a program."""

import datetime
import json
import os
import re
from typing import Any, TextIO

_GREEN, _YELLOW, _RED, _CYAN, _DIM = "32", "33", "31", "36", "2"
_BAD_LEVELS = {"warning": _YELLOW, "error": _RED, "critical": _RED}
_EVENT_COLORS = {
    "job_succeeded": _GREEN,
    "job_failed": _RED,
    "job_dead": _RED,
    "job_cancelled": _YELLOW,
    "job_stopped": _YELLOW,
    "job_retry_scheduled": _YELLOW,
}
_SHOWN_ELSEWHERE = {"event", "level", "timestamp", "role", "tenant", "job_id", "kind", "exception", "stack"}

_OF_A_QUIET_LIFE = re.compile(rb"\s*$|worker: (?:Warm|Soft) shutdown|.*WARNING Memory overcommit must be enabled")
"""What Celery and Valkey print for no reader: a shutdown that was asked for, and advice for those that save to disk."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
"""Characters that would move the cursor or change colours; what processes write may hold anybody's text."""


class Output:
    """Says in plain text what is started, and hands on what processes report."""

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream, line by line."""
        self._stream = stream
        self._is_broken = False

    def say(self, text: str) -> None:
        """Print a line; after the first one that could not be written, none is tried."""
        if self._is_broken:
            return
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except OSError:
            self._is_broken = True
            raise

    def started(self, name: str, *, pid: int, note: str = "") -> None:
        """Say that a process was started."""
        self.say(f"  {name:<14} pid {pid:<8} {note}".rstrip())

    def ended(self, name: str, *, status: int, pause_seconds: float) -> None:
        """Say that a process has died, and when it will be started again."""
        raise NotImplementedError

    def pass_on(self, name: str, line: bytes) -> None:
        """Print what a process has written."""
        raise NotImplementedError


class JsonLines(Output):
    """For programs: each line of a process as a JSON object that names the process."""

    def ended(self, name: str, *, status: int, pause_seconds: float) -> None:
        """Report it as an event."""
        now = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
        event = {"event": "process_ended", "status": status, "restart_seconds": pause_seconds, "level": "warning"}
        self._write({"process": name, **event, "timestamp": now})

    def pass_on(self, name: str, line: bytes) -> None:
        """Add the process's name to an event; what is no event is wrapped in one."""
        event = _parse(line)
        self._write({"process": name, **({"line": line.decode(errors="replace")} if event is None else event)})

    def _write(self, event: dict[str, Any]) -> None:
        self.say(json.dumps(event, ensure_ascii=False, separators=(",", ":")))


class ShortLines(Output):
    """For readers: what happens to jobs, what went wrong, and nothing else."""

    def __init__(self, stream: TextIO, *, colors: bool) -> None:
        """Write to a stream, in colours or not."""
        super().__init__(stream)
        self._colors = colors

    def ended(self, name: str, *, status: int, pause_seconds: float) -> None:
        """Say it in a sentence."""
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._write(name, self._paint(f"{how}; starting it again in {pause_seconds:g} s", color=_YELLOW))

    def pass_on(self, name: str, line: bytes) -> None:
        """Shorten an event; leave out those of a quiet life; print as it is what is no event."""
        event = _parse(line)
        if event is None:
            if not _OF_A_QUIET_LIFE.match(line):
                self._write(name, _clean(line.decode(errors="replace")))
            return
        title, level = _clean(event.get("event", "")), str(event.get("level", ""))
        if level not in _BAD_LEVELS and not title.startswith("job_"):
            return
        color = _BAD_LEVELS.get(level) or _EVENT_COLORS.get(title, _CYAN)
        facts = [_clean(event[field]) for field in ("kind", "job_id") if field in event]
        facts += [_clean(f"{field}={value}") for field, value in event.items() if field not in _SHOWN_ELSEWHERE]
        stack = event.get("stack")
        if isinstance(stack, list) and stack:
            facts.append(_clean(f"at {stack[-1]}"))
        self._write(name, " ".join([self._paint(f"{title:<16}", color=color), *facts]))
        for part in str(event.get("exception", "")).splitlines():
            self._write(name, _clean(part))

    def _write(self, name: str, text: str) -> None:
        clock = datetime.datetime.now().astimezone().strftime("%H:%M:%S")
        self.say(f"{self._paint(f'{clock} {name:<12}', color=_DIM)} {text}")

    def _paint(self, text: str, *, color: str) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self._colors else text


def choose(stream: TextIO, *, log: str) -> Output:
    """Choose short lines for a terminal and JSON lines for anything else, unless `log` says which."""
    is_terminal = stream.isatty()
    if log == "json" or (log == "auto" and not is_terminal):
        return JsonLines(stream)
    # https://no-color.org
    return ShortLines(
        stream, colors=is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def _clean(value: object) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value))


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
