"""Tests run side by side by groups, and what is skipped in any process is said at the end."""

import pathlib
import subprocess
import sys

import pytest

from tests import side_by_side

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/unit/ml/test_x.py::test_a[servers]", "tests/unit/ml/test_x.py"),
        ("tests/system/test_life.py::test_a[embedded]", "tests/system/test_life.py, embedded"),
        ("tests/system/test_roles.py::test_a[servers-a_search]", "tests/system/test_roles.py, servers"),
        ("tests/system/test_forking.py::test_a", "tests/system/test_forking.py"),
    ],
)
def test_a_files_tests_stay_together_but_for_the_two_backends_of_a_system(nodeid: str, group: str) -> None:
    assert side_by_side.group_of(nodeid) == group


def test_what_waits_most_begins_first() -> None:
    files = [
        "tests/unit/a.py::test",
        "tests/integration/a.py::test",
        "tests/system/a.py::test",
        "tests/migrations/a.py",
    ]
    assert sorted(files, key=side_by_side.place_of) == [files[2], files[1], files[0], files[3]]


def test_what_another_process_skipped_is_said_loudly(tmp_path: pathlib.Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_terminal_summary\n")
    (tmp_path / "test_there.py").write_text("import pytest\n\ndef test_it():\n    pytest.skip('no server')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", str(tmp_path)]
    told = subprocess.run(
        [*command, f"--rootdir={tmp_path}", "-c", "/dev/null"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "NOT TESTED HERE" in told
    assert "   1 tests: no server" in told
