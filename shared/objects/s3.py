"""The object store on S3, or on anything that speaks its protocol; each host keeps what it has fetched for a while."""

import contextlib
import datetime
import functools
import io
import os
import pathlib
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING

import obstore
import obstore.exceptions
import obstore.store
from typing_extensions import Buffer

from shared import digests, ids, settings
from shared.batches import batched
from shared.objects import hostcache, scratch, store

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

_WHOLE_BYTES = 32 * 1024 * 1024
"""Objects up to this size are written by one conditional request; larger ones in parts of this memory."""
_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
_READ_BYTES = 1024 * 1024
_FETCH_BYTES = 16 * 1024 * 1024
_MOST_REMOVED = 1000
_CLIENT: "ClientConfig" = {"connect_timeout": "5s", "timeout": "60s"}
_RETRIES: "RetryConfig" = {"max_retries": 3, "retry_timeout": datetime.timedelta(seconds=20)}


class S3Store(store.Store):
    """Objects in a bucket, below a prefix.

    The library behind it works with threads, and hangs in a process that was forked from one which has used it: a
    parent that forks must leave the store alone, and this raises rather than hang.
    """

    def __init__(self, config: settings.Settings) -> None:
        """Use the bucket that the settings name; nothing connects before it is used."""
        bucket, prefix = _place(config.storage_url)
        self._bucket = obstore.store.S3Store(
            bucket,
            prefix=prefix or None,
            client_options={**_CLIENT, "allow_http": config.storage_endpoint.startswith("http://")},
            retry_config=_RETRIES,
            config=_credentials(config),
        )
        self._staging = scratch.OfProcess(config.cache_path() / "staging")

    @property
    def _objects(self) -> obstore.store.S3Store:
        _check_fork()
        return self._bucket

    def check(self) -> None:
        """Raise when the store can't be listed."""
        with _faults():
            next(iter(obstore.list(self._objects, "none", chunk_size=1)), None)

    def stage(self, key: str) -> store.Output:
        """Give a fresh file of this host to write."""
        store.checked(key)
        return store.Output(self._staging.path / f"{ids.new_ulid()}-{key.rpartition('/')[2]}", key)

    def publish(self, output: store.Output) -> None:
        """Make a staged file an object; raises FileExistsError rather than change one that is there."""
        key = store.checked(output.key)
        with _faults():
            if output.path.stat().st_size <= _WHOLE_BYTES:
                obstore.put(self._objects, key, output.path.read_bytes(), mode="create")
            else:
                self._put_in_parts(output.path, key)
        output.path.unlink()

    def _put_in_parts(self, path: pathlib.Path, key: str) -> None:
        """Write a large object with little memory.

        S3 can make the end of such a write conditional, but the library can't say so. A small object that only one
        writer can create stands beside the key while it is written; who has created it sees whether the key is taken.
        One that a killed writer leaves behind keeps its key from being written, and goes with the job's other rests.
        """
        mark = f"{key}.writing"
        obstore.put(self._objects, mark, b"", mode="create")
        try:
            if self.size(key) is not None:
                raise FileExistsError(f"{key} is in the store already")
            obstore.put(
                self._objects,
                key,
                path,
                use_multipart=True,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        finally:
            self.remove(mark)

    def open_read(self, key: str) -> io.BufferedReader:
        """Open an object for reading; bytes come in ranges, as they are asked for."""
        with _faults():
            size = obstore.head(self._objects, store.checked(key))["size"]
        raw = _Ranges(self._objects, key, size=size)
        return io.BufferedReader(raw, buffer_size=_READ_BYTES)

    def fetch(self, key: str, *, sha256: str, hold: hostcache.Hold) -> pathlib.Path:
        """Give an object's file from this host's cache, into which one process of the host fetches it."""
        name = f"object-{sha256}"
        path = hold.link(name, functools.partial(self._download, store.checked(key), sha256=sha256))
        if digests.of_file(path) != sha256:
            # The cache's disk has changed it since it came; the store has it still.
            hold.cache.drop(name)
            path = hold.link(name, functools.partial(self._download, key, sha256=sha256))
        return path

    def _download(self, key: str, path: pathlib.Path, *, sha256: str) -> None:
        try:
            with self.open_read(key) as source, path.open("xb") as target:
                while chunk := source.read(_FETCH_BYTES):
                    target.write(chunk)
        except FileNotFoundError as missing:
            raise store.gone(key) from missing
        seen = digests.of_file(path)
        if seen != sha256:
            raise store.changed(key, seen=seen, sha256=sha256)

    def size(self, key: str) -> int | None:
        """Give an object's size in bytes; None when there is none."""
        with _faults(), contextlib.suppress(FileNotFoundError):
            return obstore.head(self._objects, store.checked(key))["size"]
        return None

    def state(self, key: str) -> str:
        """Give the tag that the bucket gives to an object's bytes, with their time."""
        with _faults():
            meta = obstore.head(self._objects, store.checked(key))
        return f"{meta['e_tag']}-{meta['size']}-{meta['last_modified'].timestamp()}"

    def list(self, folder: str = "") -> Iterator[store.Listed]:
        """Give the objects whose names begin with `folder/`, or all."""
        start = store.within(folder)
        with _faults():
            for part in obstore.list(self._objects, folder or None):
                for meta in part:
                    if meta["path"].startswith(start):
                        modified_at = int(meta["last_modified"].timestamp() * 1000)
                        yield store.Listed(meta["path"], meta["size"], modified_at)

    def remove(self, *keys: str) -> None:
        """Remove objects, many by one request."""
        checked = [store.checked(key) for key in keys]
        with _faults():
            for part in batched(checked, size=_MOST_REMOVED):
                obstore.delete(self._objects, part)


class _Ranges(io.RawIOBase):
    """An object as a file: each read asks for a range, so that no answer outlasts its time limit."""

    def __init__(self, bucket: obstore.store.S3Store, key: str, *, size: int) -> None:
        self._bucket = bucket
        self._key = key
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size - self._at)
        if length <= 0:
            return 0
        with _faults():
            read = memoryview(obstore.get_range(self._bucket, self._key, start=self._at, length=length))
        view[: len(read)] = read
        self._at += len(read)
        return len(read)


def _place(url: str) -> tuple[str, str]:
    """Take `s3://bucket/prefix` apart."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("MILLRACE_STORAGE_URL is no s3://bucket/prefix; credentials have settings of their own")
    return parts.netloc, parts.path.strip("/")


def _credentials(config: settings.Settings) -> "S3Config":
    """Give what is set; what is not, the library takes from AWS's own variables or the machine's role."""
    given: S3Config = {"region": config.storage_region}
    if config.storage_endpoint:
        given["endpoint"] = config.storage_endpoint
    if config.storage_access_key_id:
        given["access_key_id"] = config.storage_access_key_id
        given["secret_access_key"] = config.storage_secret_access_key.get_secret_value()
    return given


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """Raise what the library raises as what everybody knows; its messages hold addresses, and stay out of ours."""
    try:
        yield
    except obstore.exceptions.AlreadyExistsError as taken:
        raise FileExistsError("the key is taken: an object is never changed") from taken
    except obstore.exceptions.InvalidPathError as odd:
        # The library can't go past such a name, so nothing can be listed while it is there.
        raise store.StoreDownError(
            f"The bucket holds a name that can't be listed; remove it. {str(odd).splitlines()[0]}"
        ) from odd
    except obstore.exceptions.BaseError as fault:
        raise store.StoreDownError(f"The object store can't be used ({type(fault).__name__}).") from fault


_used_by: int | None = None


def _check_fork() -> None:
    global _used_by
    if _used_by is None:
        _used_by = os.getpid()
    elif _used_by != os.getpid():
        raise RuntimeError("the process that this one was forked from has used S3, which can't work here")
