"""What all tests share: which servers there are, said at the start, and what was skipped, said loudly at the end."""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests import servers, servers_postgres

if TYPE_CHECKING:
    from tests import servers_s3

# Test data is small: threads of numeric libraries would only wait for each other. Read when numpy is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

Server = TypeVar("Server")


def pytest_report_header() -> str:
    """Say which servers the tests will use."""
    return servers.describe()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once more, and loudly, that a part of the promise was not tested here."""
    skipped = [
        str(report.longrepr[2])
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    ]
    if skipped:
        terminalreporter.section("NOT TESTED HERE", sep="!", red=True, bold=True)
        for reason in sorted(set(skipped)):
            terminalreporter.line(f"{skipped.count(reason):>4} tests: {reason.removeprefix('Skipped: ')}")


def open_or_skip(find: Callable[[], Server]) -> Server:
    """Open a server; skip where there is none, but fail where CI has said that there must be one."""
    try:
        return find()
    except servers.ServerNotFoundError as missing:
        if servers.required():
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers_postgres.Postgres]:
    """Yield a PostgreSQL on which tests make databases of their own."""
    with open_or_skip(servers.find_postgres) as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator["servers_s3.S3"]:
    """Yield an S3 server of our own."""
    # Here, because it takes a second to load and few tests need it.
    from tests import servers_s3

    with servers_s3.served() as server:
        yield server
