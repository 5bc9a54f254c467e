"""What `make up` prints."""

import io
import json
import os
import pty

import pytest

from deploy import terminal

JOB = json.dumps(
    {"kind": "training.fit", "job_id": "training_01", "seconds": 3.2, "event": "job_succeeded", "level": "info"}
).encode()
STARTED = b'{"event":"worker_started","level":"info"}'


def short(*lines: bytes, colors: bool = False) -> list[str]:
    """Print lines of a process called training for a reader, and return them without the time."""
    stream = io.StringIO()
    output = terminal.ShortLines(stream, colors=colors)
    for line in lines:
        output.pass_on("training", line)
    return [text if colors else text.partition(" ")[2] for text in stream.getvalue().splitlines()]


def test_a_job_is_a_short_line_and_a_quiet_life_is_none() -> None:
    assert short(JOB, STARTED) == ["training     job_succeeded    training.fit training_01 seconds=3.2"]


def test_what_celery_and_valkey_print_in_a_quiet_life_is_none_either() -> None:
    overcommit = b"71:M 30 Nov 2026 15:00:00.000 # WARNING Memory overcommit must be enabled! A save may fail"
    quiet = [b"", b"  ", b"worker: Warm shutdown (MainProcess)", overcommit]
    assert short(*quiet) == []
    assert short(b"worker: Cold shutdown (MainProcess)") == ["training     worker: Cold shutdown (MainProcess)"]
    assert short(b"71:M # Out Of Memory allocating 8 bytes!") == [
        "training     71:M # Out Of Memory allocating 8 bytes!"
    ]
    stream = io.StringIO()
    terminal.JsonLines(stream).pass_on("training", quiet[2])
    assert json.loads(stream.getvalue())["line"] == quiet[2].decode()


def test_what_goes_wrong_is_shown_with_its_cause() -> None:
    warning = b'{"event":"beat_failed","level":"warning","error":"OSError","stack":["a.py:1 f","b.py:2 g"]}'
    assert short(warning) == ["training     beat_failed      error=OSError at b.py:2 g"]
    error = b'{"event":"broken","level":"error","exception":"Traceback:\\nKeyError: 1"}'
    assert short(error) == ["training     broken          ", "training     Traceback:", "training     KeyError: 1"]
    assert short(b"no event \xff", b"[" * 100_000)[0] == "training     no event �"


def test_nobody_moves_the_cursor() -> None:
    event = json.dumps(
        {"event": "job_\x1b[2J", "level": "info", "name": "a\rb\nc", "kind": "\x9bx", "exception": "\x1bc"}
    )
    for line in short(event.encode(), b"plain \x1b[2J"):
        assert line.isprintable()


def test_colours_tell_how_a_job_ended() -> None:
    assert "\x1b[32mjob_succeeded" in short(JOB, colors=True)[0]
    assert "\x1b[31mjob_failed" in short(JOB.replace(b"succeeded", b"failed"), colors=True)[0]
    assert "\x1b[36mjob_claimed" in short(JOB.replace(b"succeeded", b"claimed"), colors=True)[0]
    assert "\x1b[33mjob_process_died" in short(b'{"event":"job_process_died","level":"warning"}', colors=True)[0]


def test_a_program_reads_json_that_names_the_process() -> None:
    stream = io.StringIO()
    output = terminal.JsonLines(stream)
    output.pass_on("training", JOB)
    output.pass_on("training", b"no event")
    output.ended("training", status=-9, pause_seconds=2)
    job, other, ended = map(json.loads, stream.getvalue().splitlines())
    assert job == {"process": "training", **json.loads(JOB)}
    assert other == {"process": "training", "line": "no event"}
    assert (ended["event"], ended["status"], ended["restart_seconds"]) == ("process_ended", -9, 2)


def test_a_death_is_a_sentence() -> None:
    stream = io.StringIO()
    output = terminal.ShortLines(stream, colors=False)
    output.ended("api", status=-9, pause_seconds=2)
    output.ended("api", status=3, pause_seconds=10)
    assert "api          was killed by signal 9; starting it again in 2 s" in stream.getvalue()
    assert "api          ended with status 3; starting it again in 10 s" in stream.getvalue()


def test_the_output_decides_unless_the_operator_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    reading, writing = pty.openpty()
    with os.fdopen(reading, "rb", buffering=0) as shown, os.fdopen(writing, "w") as screen:
        terminal.choose(screen, log="auto").pass_on("training", JOB)
        assert b"\x1b[32mjob_succeeded" in os.read(shown.fileno(), 4096)
        assert isinstance(terminal.choose(screen, log="json"), terminal.JsonLines)
        monkeypatch.setenv("NO_COLOR", "1")
        terminal.choose(screen, log="auto").pass_on("training", JOB)
        assert b"\x1b" not in os.read(shown.fileno(), 4096)
    assert isinstance(terminal.choose(io.StringIO(), log="auto"), terminal.JsonLines)
    assert isinstance(terminal.choose(io.StringIO(), log="short"), terminal.ShortLines)


class _Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_reader_who_has_gone_is_noticed_once() -> None:
    output = terminal.JsonLines(_Broken())
    with pytest.raises(BrokenPipeError):
        output.say("one")
    output.say("two")
