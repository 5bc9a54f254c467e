"""The object store, in a local folder and on S3: one suite for both."""

import contextlib
import hashlib
import http.server
import os
import pathlib
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator

import obstore
import pydantic
import pytest

from shared import errors, settings
from shared.objects import hostcache, opening
from shared.objects import s3 as s3_store
from shared.objects.local import LocalStore
from shared.objects.store import Store, StoreDownError
from tests import disks, servers_s3

KEY = "acme/training/training_01/1/model.skops"
WORDS = b"forty-two"


@pytest.fixture(params=["local", "s3"])
def config(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> settings.Settings:
    """Return settings of an empty store, in a folder and on S3 in turn."""
    if request.param == "local":
        return settings.Settings(home=tmp_path)
    server: servers_s3.S3 = request.getfixturevalue("s3")
    return server.config(tmp_path)


@pytest.fixture
def store(config: settings.Settings) -> Store:
    """Return an empty store."""
    return opening.open_store(config)


@pytest.fixture
def local(tmp_path: pathlib.Path) -> LocalStore:
    """Return an empty store in a folder."""
    return LocalStore(tmp_path / "objects")


@pytest.fixture
def hold(config: settings.Settings) -> Iterator[hostcache.Hold]:
    """Yield a hold on the host's cache."""
    held = hostcache.Hold(hostcache.open_cache(config))
    yield held
    held.close()


def keys(store: Store, folder: str = "") -> list[str]:
    """List the keys of a store."""
    return sorted(found.key for found in store.list(folder))


def write(store: Store, key: str = KEY, words: bytes = WORDS) -> str:
    """Write an object; gives its SHA-256."""
    with store.write(key) as file:
        file.write(words)
    return hashlib.sha256(words).hexdigest()


def test_what_is_written_can_be_fetched(store: Store, hold: hostcache.Hold) -> None:
    sha256 = write(store)
    assert store.fetch(KEY, sha256=sha256, hold=hold).read_bytes() == WORDS
    assert store.size(KEY) == len(WORDS)
    assert store.sha256(KEY) == sha256
    assert keys(store) == [KEY]


def test_an_object_is_not_there_before_it_is_whole(store: Store) -> None:
    with store.write(KEY) as file:
        file.write(WORDS)
        file.flush()
        assert store.size(KEY) is None
        assert keys(store) == []
    assert store.size(KEY) == len(WORDS)


def test_a_write_that_fails_leaves_nothing(store: Store, tmp_path: pathlib.Path) -> None:
    with contextlib.suppress(ZeroDivisionError), store.write(KEY) as file:
        file.write(WORDS)
        raise ZeroDivisionError
    assert keys(store) == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_staged_file_becomes_an_object_when_it_is_published(store: Store) -> None:
    output = store.stage(KEY)
    output.path.write_bytes(WORDS)
    assert store.size(KEY) is None
    store.publish(output)
    assert keys(store) == [KEY]
    assert not output.path.exists()


@pytest.mark.parametrize("whole_bytes", [s3_store._SINGLE_REQUEST_BYTES, 4])
def test_an_object_is_never_overwritten(
    store: Store, hold: hostcache.Hold, whole_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "_SINGLE_REQUEST_BYTES", whole_bytes)
    sha256 = write(store)
    with pytest.raises(FileExistsError):
        write(store, words=b"other")
    assert store.fetch(KEY, sha256=sha256, hold=hold).read_bytes() == WORDS
    assert keys(store) == [KEY]


@pytest.mark.parametrize("whole_bytes", [s3_store._SINGLE_REQUEST_BYTES, 4])
def test_of_many_writers_of_one_key_one_succeeds(
    store: Store, whole_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "_SINGLE_REQUEST_BYTES", whole_bytes)
    done: list[bytes] = []

    def put(words: bytes) -> None:
        with contextlib.suppress(FileExistsError):
            write(store, words=words)
            done.append(words)

    threads = [threading.Thread(target=put, args=(f"words of {number}".encode(),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    with store.open_read(KEY) as file:
        assert file.read() == done[0]
    assert keys(store) == [KEY]


def test_an_object_written_in_parts_is_whole(
    store: Store, hold: hostcache.Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "_SINGLE_REQUEST_BYTES", 1024)
    monkeypatch.setattr(s3_store, "_PART_BYTES", 5 * 1024 * 1024)
    words = os.urandom(11 * 1024 * 1024 + 1)
    sha256 = write(store, words=words)
    assert store.fetch(KEY, sha256=sha256, hold=hold).read_bytes() == words
    assert keys(store) == [KEY]


def test_an_object_can_be_read_in_any_order(store: Store) -> None:
    words = os.urandom(3 * 1024 * 1024)
    write(store, words=words)
    with store.open_read(KEY) as file:
        assert file.seek(-10, os.SEEK_END) == len(words) - 10
        assert file.read() == words[-10:]
        assert file.seek(1_500_000) == 1_500_000
        assert file.read(7) == words[1_500_000:1_500_007]
        assert file.tell() == 1_500_007
        file.seek(len(words) + 5)
        assert file.read(1) == b""


def test_what_is_not_there_can_not_be_read(store: Store) -> None:
    for read in (store.open_read, store.sha256):
        with pytest.raises(FileNotFoundError):
            read(KEY)


def test_two_objects_of_one_name_are_staged_apart(store: Store) -> None:
    assert store.stage("a/b/data").path != store.stage("c/d/data").path


def test_an_object_that_is_not_what_was_meant_is_refused(store: Store, hold: hostcache.Hold) -> None:
    write(store, words=b"forty-three")
    meant = hashlib.sha256(WORDS).hexdigest()
    with pytest.raises(errors.PermanentError, match=f"not {meant}: it was changed"):
        store.fetch(KEY, sha256=meant, hold=hold)


def test_an_object_that_is_gone_is_named(store: Store, hold: hostcache.Hold) -> None:
    with pytest.raises(errors.PermanentError, match=f"The object {KEY} is gone"):
        store.fetch(KEY, sha256="0" * 64, hold=hold)


def test_objects_are_listed_with_size_and_age_by_folder(store: Store) -> None:
    before = int(time.time() * 1000) - 1500
    for key in (KEY, "acme/uploads/1", "acme2/uploads/2"):
        write(store, key)
    assert keys(store) == [KEY, "acme/uploads/1", "acme2/uploads/2"]
    assert keys(store, "acme") == [KEY, "acme/uploads/1"]
    assert keys(store, "acme/uploads") == ["acme/uploads/1"]
    assert keys(store, "acme/nothing") == []
    (found,) = store.list("acme/uploads")
    assert found.bytes == len(WORDS)
    assert before <= found.modified_at <= time.time() * 1000 + 1500


def test_what_is_foreign_is_listed_as_such(store: Store, tmp_path: pathlib.Path) -> None:
    write(store)
    names = ["acme/.hidden", "acme/sp ace é.txt"]
    for name in names:
        if isinstance(store, s3_store.S3Store):
            obstore.put(store._objects, name, b"x")
        else:
            (tmp_path / "objects" / name).write_bytes(b"x")
    assert sorted(found.key for found in store.list("acme") if found.is_foreign) == names
    assert [found.key for found in store.list("acme") if not found.is_foreign] == [KEY]


def test_a_name_in_a_bucket_that_can_not_be_listed_is_told(s3: servers_s3.S3, tmp_path: pathlib.Path) -> None:
    config = s3.config(tmp_path)
    url = f"{s3.url}/{config.storage_url.removeprefix('s3://')}/acme//odd"
    with urllib.request.urlopen(urllib.request.Request(url, method="PUT", data=b"x"), timeout=10):
        pass
    with pytest.raises(StoreDownError, match=r"remove it.*acme//odd") as told:
        list(opening.open_store(config).list("acme"))
    assert "127.0.0.1" not in told.value.message


def test_a_foreign_name_that_is_no_text_is_listed_as_text(local: LocalStore, tmp_path: pathlib.Path) -> None:
    write(local)
    (tmp_path / "objects" / "acme" / os.fsdecode(b"\xff")).write_bytes(b"x")
    (found,) = (found for found in local.list() if found.is_foreign)
    assert found.key.encode() == b"acme/\\xff"


def test_the_state_of_an_object_changes_with_its_bytes_alone(local: LocalStore) -> None:
    write(local)
    before = local.etag(KEY)
    assert local.etag(KEY) == before
    path = local.path_of(KEY)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    time.sleep(0.02)
    path.write_bytes(WORDS[::-1])
    os.utime(path, ns=times)
    assert local.etag(KEY) != before


def test_the_state_of_an_object_is_read_of_every_store(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.etag(KEY)
    write(store)
    before = store.etag(KEY)
    assert store.etag(KEY) == before
    store.remove(KEY)
    write(store, words=b"forty-three")
    assert store.etag(KEY) != before


def test_an_object_is_as_old_as_its_publication(local: LocalStore) -> None:
    output = local.stage(KEY)
    output.path.write_bytes(WORDS)
    os.utime(output.path, (1, 1))
    local.publish(output)
    (found,) = local.list()
    assert found.modified_at > 1_700_000_000_000


def test_objects_can_be_removed_twice(store: Store) -> None:
    write(store)
    write(store, "acme/uploads/1")
    store.remove(KEY)
    store.remove(KEY, "acme/uploads/1")
    store.remove()
    assert keys(store) == []
    assert store.size(KEY) is None


def test_folders_that_are_empty_go_with_their_last_object(local: LocalStore) -> None:
    write(local)
    write(local, "acme/training/training_02/1/model.skops")
    local.remove(KEY)
    assert not local.path_of("acme/training/training_01").exists()
    assert local.path_of("acme/training/training_02/1").is_dir()


def test_every_folder_that_holds_a_new_one_is_synced(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(pathlib.Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write(local)
    root = local.path_of("a").parent.resolve()
    path = root / KEY
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    assert {str(folder) for folder in folders} <= set(synced)
    assert len(synced) > len(folders), "the file itself is synced too"


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
def test_keys_that_the_server_never_makes_are_refused(store: Store, key: str) -> None:
    for use in (store.open_read, store.stage, store.size, store.etag, store.remove):
        with pytest.raises(ValueError, match="is no object key"):
            use(key)
    if key:
        with pytest.raises(ValueError, match="is no object key"):
            list(store.list(key))


def test_no_key_reaches_what_is_only_staged(local: LocalStore) -> None:
    staged = local.stage(KEY).path
    key = staged.relative_to(local.path_of("a").parent).as_posix()
    with pytest.raises(ValueError, match="is no object key"):
        local.path_of(key)


def test_a_store_that_cannot_be_made_says_so(tmp_path: pathlib.Path) -> None:
    (tmp_path / "objects").write_text("a file, no folder")
    with pytest.raises(OSError, match="objects"):
        LocalStore(tmp_path / "objects").check()


def test_a_store_that_can_be_written_checks_out(store: Store) -> None:
    store.check()
    assert keys(store) == []


class ReadOnlyBucket(http.server.BaseHTTPRequestHandler):
    """A bucket that lists its objects, none, and takes none."""

    def do_GET(self) -> None:
        """List."""
        self._answer(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")

    def do_PUT(self) -> None:
        """Refuse."""
        self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_bucket_that_can_only_be_read_is_not_ready(tmp_path: pathlib.Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), ReadOnlyBucket) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = settings.Settings(
            home=tmp_path,
            storage_url="s3://bucket",
            storage_endpoint=f"http://127.0.0.1:{server.server_port}",
            storage_access_key_id="x",
            storage_secret_access_key=pydantic.SecretStr("y"),
        )
        store = opening.open_store(config)
        assert list(store.list()) == []
        with pytest.raises(StoreDownError):
            store.check()
        server.shutdown()


def test_a_folder_on_a_full_disk_is_not_ready(tmp_path: pathlib.Path) -> None:
    with disks.small(tmp_path / "disk", kibibytes=1024) as disk:
        store = LocalStore(disk / "objects")
        store.check()
        with disks.filled(disk), pytest.raises(OSError, match="No space left"):
            store.check()
        store.check()
        assert keys(store) == []


def test_the_store_of_the_settings_is_a_folder_under_home(tmp_path: pathlib.Path) -> None:
    store = opening.open_store(settings.Settings(home=tmp_path))
    assert isinstance(store, LocalStore)
    assert store.path_of(KEY) == tmp_path / "objects" / KEY


def test_a_bucket_that_can_not_be_reached_is_a_passing_fault_without_its_address(tmp_path: pathlib.Path) -> None:
    config = settings.Settings(
        home=tmp_path,
        storage_url="s3://bucket",
        storage_endpoint="http://127.0.0.1:1",
        storage_access_key_id="x",
        storage_secret_access_key=pydantic.SecretStr("y"),
    )
    store = opening.open_store(config)
    uses: list[Callable[[], object]] = [store.check, lambda: store.size(KEY), lambda: store.open_read(KEY)]
    for use in uses:
        with pytest.raises(StoreDownError) as fault:
            use()
        assert isinstance(fault.value, ConnectionError)
        assert isinstance(fault.value, errors.UnavailableError)
        assert "127.0.0.1" not in fault.value.message


@pytest.mark.parametrize("url", ["s3://", "s3:bucket", "s3://id:secret@bucket", "s3://bucket?a=b"])
def test_an_s3_url_that_is_none_is_refused_without_being_repeated(url: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="no s3://bucket/prefix") as fault:
        opening.open_store(settings.Settings(home=tmp_path, storage_url=url))
    assert "secret@" not in str(fault.value)


def test_a_host_fetches_an_object_once(s3: servers_s3.S3, tmp_path: pathlib.Path) -> None:
    config = s3.config(tmp_path)
    store = opening.open_store(config)
    sha256 = write(store)
    cache = hostcache.open_cache(config)
    first, second = hostcache.Hold(cache), hostcache.Hold(cache)
    path = store.fetch(KEY, sha256=sha256, hold=first)
    store.remove(KEY)
    again = store.fetch(KEY, sha256=sha256, hold=second)
    assert path.samefile(again)
    first.close()
    assert not path.exists()
    assert again.read_bytes() == WORDS
    second.close()


def test_what_the_caches_disk_has_changed_is_fetched_again(s3: servers_s3.S3, tmp_path: pathlib.Path) -> None:
    config = s3.config(tmp_path)
    store = opening.open_store(config)
    sha256 = write(store)
    hold = hostcache.Hold(hostcache.open_cache(config))
    path = store.fetch(KEY, sha256=sha256, hold=hold)
    path.chmod(0o600)
    path.write_bytes(b"forty-three")
    assert store.fetch(KEY, sha256=sha256, hold=hold).read_bytes() == WORDS
    hold.close()


def test_a_forked_process_is_told_rather_than_left_hanging(
    s3: servers_s3.S3, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opening.open_store(s3.config(tmp_path))
    store.check()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="forked"):
        store.check()
