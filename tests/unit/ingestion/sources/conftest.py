"""What tests of sources share: a web server, and a named database or store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.ingestion.sources.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    """Start a web server for one test."""
    with Site() as site:
        yield site


@pytest.fixture
def other_site() -> Iterator[Site]:
    """Start another web server."""
    with Site() as site:
        yield site


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Create an empty folder."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder
