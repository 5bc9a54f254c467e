"""Segments on a copy's disk: what was appended arrives once, also after a kill, and what is lost is counted."""

import os
import pathlib
import subprocess
import sys

import pytest

from shared import settings
from shared.objects import local, opening, store
from shared.prediction.records import segments
from workers.prediction.online.records import segment_files
from workers.prediction.online.records.segment_files import SegmentFiles


class AwayStore(local.LocalStore):
    """A folder's store that can't be reached while `is_away`."""

    is_away = False

    def publish(self, output: store.Output) -> None:
        """Refuse while it is away."""
        if self.is_away:
            raise store.StoreDownError("away")
        super().publish(output)


@pytest.fixture
def objects(tmp_path: pathlib.Path) -> AwayStore:
    return AwayStore(tmp_path / "objects")


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "segments"


def shipped(objects: store.Store) -> list[bytes]:
    lines: list[bytes] = []
    for name in segments.list_names(objects):
        with objects.open_read(segments.key_of(name)) as file:
            lines += file.read().splitlines()
    return lines


def test_what_is_appended_is_shipped_once(objects: AwayStore, root: pathlib.Path) -> None:
    files = SegmentFiles(root, objects)
    for number in range(3):
        files.append(b"%d\n" % number)
        files.ship()
        files.ship()
    assert shipped(objects) == [b"0", b"1", b"2"]
    files.close()
    assert list(root.iterdir()) == []


def test_while_the_store_is_away_it_waits_in_few_files(objects: AwayStore, root: pathlib.Path) -> None:
    files = SegmentFiles(root, objects)
    objects.is_away = True
    for number in range(30):
        files.append(b"%d\n" % number)
        with pytest.raises(store.StoreDownError):
            files.ship()
    [folder] = root.iterdir()
    assert len(list(folder.iterdir())) <= 4
    objects.is_away = False
    files.close()
    assert sorted(map(int, shipped(objects))) == list(range(30))


_KILLED = """
import os, pathlib, sys
from shared.objects import local
from workers.prediction.online.records.segment_files import SegmentFiles
files = SegmentFiles(pathlib.Path(sys.argv[1]), local.LocalStore(pathlib.Path(sys.argv[2])))
files.append(b"first\\n")
files.ship()
files.append(b"last\\n")
os.kill(os.getpid(), 9)
"""


def test_the_next_process_ships_what_a_killed_one_left(
    objects: AwayStore, root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    argv = [sys.executable, "-c", _KILLED, f"{root}", f"{tmp_path / 'objects'}"]
    assert subprocess.run(argv, check=False).returncode == -9
    assert shipped(objects) == [b"first"]
    files = SegmentFiles(root, objects)
    files.ship()
    assert shipped(objects) == [b"first", b"last"]
    files.close()
    assert list(root.iterdir()) == []


def test_nobody_ships_what_a_living_process_still_writes(objects: AwayStore, root: pathlib.Path) -> None:
    one, other = SegmentFiles(root, objects), SegmentFiles(root, objects)
    one.append(b"a\n")
    other.ship()
    assert shipped(objects) == []
    one.append(b"b\n")
    one.close()
    other.close()
    assert shipped(objects) == [b"a", b"b"]


def test_a_segment_that_was_shipped_before_a_kill_is_not_shipped_as_another(
    objects: AwayStore, root: pathlib.Path
) -> None:
    files = SegmentFiles(root, objects)
    files.append(b"a\n")
    [folder] = root.iterdir()
    left = root / "01M0000000000000000000LEFT"
    files.ship()
    left.mkdir()
    (left / "0000000000").write_bytes(b"a\n")
    with objects.write(segments.key_of(f"{left.name}-0000000000")) as file:
        file.write(b"a\n")
    files.ship()
    assert shipped(objects) == [b"a", b"a"]
    assert [path.name for path in root.iterdir()] == [folder.name]


def test_what_finds_no_room_is_counted_and_said(
    objects: AwayStore, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SegmentFiles(root, objects)
    before = segment_files.LOST._value.get()
    objects.is_away = True
    monkeypatch.setattr(segment_files, "_MAX_KEPT_BYTES", 10)
    files.append(b"0123456789\n")
    with pytest.raises(store.StoreDownError):
        files.ship()
    for _ in range(3):
        files.append(b"too much\n")
    assert segment_files.LOST._value.get() == before + 3
    objects.is_away = False
    files.ship()
    files.append(b"again\n")
    files.ship()
    lines = shipped(objects)
    assert (lines[0], lines[-2], lines[-1]) == (b"0123456789", b"again", segments.write_lost(3).strip())


def test_the_store_that_the_settings_name_takes_segments(tmp_path: pathlib.Path) -> None:
    objects = opening.open_store(settings.Settings(home=tmp_path))
    files = SegmentFiles(tmp_path / "segments", objects)
    files.append(b"a\n")
    files.close()
    assert shipped(objects) == [b"a"]
    assert not any(os.scandir(tmp_path / "segments"))
