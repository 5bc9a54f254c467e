"""What all tests share: which servers there are, said at the start, and what was skipped, said loudly at the end."""

import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest
from xdist.remote import Producer

from tests import forked, servers, servers_postgres, side_by_side

if TYPE_CHECKING:
    from tests import servers_s3

# Test data is small: threads of numeric libraries would only wait for each other. Read when numpy is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

Server = TypeVar("Server")


def pytest_configure(config: pytest.Config) -> None:
    """Let all processes that run tests share one fork server, in a folder that ends with this process."""
    if not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(prefix="millrace-tests-")
        config.add_cleanup(folder.cleanup)
        forked.offer(pathlib.Path(folder.name))


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what waits most begin first."""
    items.sort(key=lambda item: side_by_side.place_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> side_by_side.ByGroup:
    """Hand out tests by groups when several processes run them."""
    return side_by_side.ByGroup(config, log)


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
