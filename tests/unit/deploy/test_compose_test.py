"""The parts of `make compose-test` that need no Docker."""

import pathlib

import httpx
import pytest

from deploy.compose_test import stack, wheels

_LOCK = """\
always==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
old==2.0 ; python_full_version < '3.11.3' \\
    --hash=sha256:cc
split==3.0 ; python_full_version < '3.12' \\
    --hash=sha256:dd
split==4.0 ; python_full_version >= '3.12' \\
    --hash=sha256:ee
"""


def test_a_locks_markers_are_judged_by_the_images_python() -> None:
    both = "always==1.0 --hash=sha256:aa --hash=sha256:bb"
    assert wheels.pinned(_LOCK, python_version="3.11.2") == [
        both,
        "old==2.0 --hash=sha256:cc",
        "split==3.0 --hash=sha256:dd",
    ]
    assert wheels.pinned(_LOCK, python_version="3.13.1") == [both, "split==4.0 --hash=sha256:ee"]


def test_the_wheels_are_served_on_loopback_while_builds_run(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one-1.0-py3-none-any.whl").write_bytes(b"wheel")
    with wheels.served(tmp_path) as variables:
        address = variables["PIP_FIND_LINKS"]
        assert address.startswith("http://127.0.0.1:")
        assert httpx.get(f"{address}one-1.0-py3-none-any.whl").content == b"wheel"
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


def test_free_ports_differ() -> None:
    assert len(set(stack.free_ports("A", "B", "C").values())) == 3


def test_waiting_in_vain_says_for_what_and_why_not() -> None:
    with pytest.raises(TimeoutError, match="the moon: still set"):
        stack.wait_for(lambda: False, what="the moon", seconds=0, why_not=lambda: "still set")
