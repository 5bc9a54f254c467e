"""What is logged, and what is seen by who takes lines for jobs."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from shared import telemetry


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Yield Python's root logger, and leave logging as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_the_level_of_the_log_hides_nothing_from_who_takes_lines(
    root: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[dict[str, Any]] = []

    def take(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        seen.append(dict(event))
        return event

    telemetry.configure("ERROR", take=take)
    log = structlog.get_logger()
    with structlog.contextvars.bound_contextvars(job_id="a"):
        log.debug("detail")
        log.info("part_done")
        log.error("broken")
    assert [(event["event"], event["level"], event["job_id"]) for event in seen] == [
        ("part_done", "info", "a"),
        ("broken", "error", "a"),
    ]
    records: list[str] = []
    taking = logging.Handler()
    taking.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    root.addHandler(taking)
    logging.getLogger("library").warning("it looks bad")
    assert records == ["it looks bad"]
    assert [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()] == ["broken"]
