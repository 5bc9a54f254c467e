"""Gzip is unpacked within its limits."""

import gzip
from pathlib import Path

import pytest

from shared import errors
from workers.ingestion.formats import unpack
from workers.ingestion.limits import Limits


def _unpack(folder: Path, data: bytes, *, limits: Limits | None = None) -> bytes:
    source = folder / "source"
    source.write_bytes(data)
    bounds = limits or Limits()
    return unpack.unpack(source, compression="gzip", scratch=folder, limits=bounds).read_bytes()


def test_members_behind_each_other_are_all_unpacked(tmp_path: Path) -> None:
    assert _unpack(tmp_path, gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n")) == b"a,b\n1,2\n"


def test_a_bomb_stops_soon_after_the_free_part(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    with pytest.raises(errors.LimitExceededError, match="at most 200 bytes for each packed byte"):
        _unpack(tmp_path, bomb)
    assert (tmp_path / "unpacked").stat().st_size < 40_000_000


def test_a_small_file_may_have_any_ratio(tmp_path: Path) -> None:
    assert _unpack(tmp_path, gzip.compress(b"1\n" * 1_000_000)) == b"1\n" * 1_000_000


def test_the_size_is_bounded_whatever_the_ratio(tmp_path: Path) -> None:
    with pytest.raises(errors.LimitExceededError, match="more than 1,000 bytes"):
        _unpack(tmp_path, gzip.compress(b"x" * 5000), limits=Limits(decompressed_bytes=1000))


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"a,b\n1,2\n" * 100)[:-12], b"a,b\n1,2\n", gzip.compress(b"a,b\n1,2\n")[:-8] + bytes(8)],
    ids=["cut off", "not packed", "wrong checksum"],
)
def test_what_is_not_whole_gzip_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(errors.BadDataError, match=r"isn't complete gzip .* for an upload leave out `Content-Encoding`"):
        _unpack(tmp_path, data)


@pytest.mark.parametrize("data", [b"", gzip.compress(b"")], ids=["nothing", "nothing packed"])
def test_nothing_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(errors.BadDataError, match="0 bytes"):
        _unpack(tmp_path, data)
