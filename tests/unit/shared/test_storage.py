"""The object store in a local folder."""

import contextlib
import hashlib
import os
import pathlib

import pytest

from shared import errors, settings, storage

KEY = "acme/training/training_01/1/model.skops"
WORDS = b"forty-two"


@pytest.fixture
def store(tmp_path: pathlib.Path) -> storage.LocalStore:
    """Give an empty store."""
    return storage.LocalStore(tmp_path / "objects")


def files_in(store: storage.LocalStore) -> list[str]:
    """List all files of a store, staged ones too."""
    root = store.path_of("a").parent
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def write(store: storage.LocalStore, key: str = KEY, words: bytes = WORDS) -> str:
    """Write an object; gives its SHA-256."""
    with store.write(key) as file:
        file.write(words)
    return hashlib.sha256(words).hexdigest()


def test_what_is_written_can_be_fetched(store: storage.LocalStore) -> None:
    sha256 = write(store)
    assert store.fetch(KEY, sha256=sha256).read_bytes() == WORDS
    assert store.size(KEY) == len(WORDS)
    assert files_in(store) == [KEY]


def test_an_object_is_not_there_before_it_is_whole(store: storage.LocalStore) -> None:
    with store.write(KEY) as file:
        file.write(WORDS)
        file.flush()
        assert store.size(KEY) is None
    assert store.size(KEY) == len(WORDS)


def test_a_write_that_fails_leaves_nothing(store: storage.LocalStore) -> None:
    with contextlib.suppress(ZeroDivisionError), store.write(KEY) as file:
        file.write(WORDS)
        raise ZeroDivisionError
    assert files_in(store) == []


def test_a_staged_file_becomes_an_object_when_it_is_published(store: storage.LocalStore) -> None:
    output = store.stage(KEY)
    output.path.write_bytes(WORDS)
    assert store.size(KEY) is None
    store.publish(output)
    assert files_in(store) == [KEY]


def test_an_object_is_never_overwritten(store: storage.LocalStore) -> None:
    sha256 = write(store)
    with pytest.raises(FileExistsError):
        write(store, words=b"other")
    assert store.fetch(KEY, sha256=sha256).read_bytes() == WORDS
    assert files_in(store) == [KEY]


def test_every_folder_that_holds_a_new_one_is_synced(
    store: storage.LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(pathlib.Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write(store)
    root = store.path_of("a").parent.resolve()
    path = root / KEY
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    assert {str(folder) for folder in folders} <= set(synced)
    assert len(synced) > len(folders), "the file itself is synced too"


def test_two_objects_of_one_name_are_staged_apart(store: storage.LocalStore) -> None:
    assert store.stage("a/b/data").path != store.stage("c/d/data").path


def test_a_changed_object_is_refused(store: storage.LocalStore) -> None:
    sha256 = write(store)
    store.path_of(KEY).write_bytes(b"forty-three")
    with pytest.raises(errors.PermanentError, match=f"not {sha256}: it was changed"):
        store.fetch(KEY, sha256=sha256)


def test_an_object_that_is_gone_is_named(store: storage.LocalStore) -> None:
    with pytest.raises(errors.PermanentError, match=f"The object {KEY} is gone"):
        store.fetch(KEY, sha256="0" * 64)


def test_an_object_can_be_removed_twice(store: storage.LocalStore) -> None:
    write(store)
    store.remove(KEY)
    store.remove(KEY)
    assert store.size(KEY) is None


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/..",
        "a..b",
        "a//b",
        "a/",
        "./a",
        ".hidden",
        "a/.hidden",
        "-rf",
        "a\\b",
        "a\nb",
        "a\n",
        "a\x00b",
        "%2e%2e%2fx",
        "file://a",
        "a b",
        "é",
        "$(id)",
        "a:b",
    ],
)
def test_keys_that_the_server_never_makes_are_refused(store: storage.LocalStore, key: str) -> None:
    for use in (store.path_of, store.stage, store.size, store.remove):
        with pytest.raises(ValueError, match="is no object key"):
            use(key)


def test_no_key_reaches_what_is_only_staged(store: storage.LocalStore) -> None:
    staged = store.stage(KEY).path
    folder = staged.parent.relative_to(store.path_of("a").parent).as_posix()
    with pytest.raises(ValueError, match="is no object key"):
        store.path_of(f"{folder}/{staged.name}")


def test_a_store_that_cannot_be_made_says_so(tmp_path: pathlib.Path) -> None:
    (tmp_path / "objects").write_text("a file, no folder")
    with pytest.raises(OSError, match="objects"):
        storage.LocalStore(tmp_path / "objects").check()


def test_a_store_that_can_be_written_checks_out(store: storage.LocalStore) -> None:
    store.check()
    assert files_in(store) == []


def test_the_store_of_the_settings_is_a_folder_under_home(tmp_path: pathlib.Path) -> None:
    store = storage.open_store(settings.Settings(home=tmp_path))
    assert store.path_of(KEY) == tmp_path / "objects" / KEY
