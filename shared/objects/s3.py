"""The object store on S3, or on any store with its protocol; each host caches what it has fetched."""

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

_SINGLE_REQUEST_BYTES = 32 * 1024 * 1024
"""Objects up to this size are written by one conditional request; larger ones in parts."""
_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
_READ_BYTES = 1024 * 1024
_FETCH_BYTES = 16 * 1024 * 1024
_MAX_REMOVED = 1000
_CLIENT: "ClientConfig" = {"connect_timeout": "5s", "timeout": "60s"}
_RETRIES: "RetryConfig" = {"max_retries": 3, "retry_timeout": datetime.timedelta(seconds=20)}


class S3Store(store.Store):
    """Objects in a bucket, below a prefix.

    The library behind it has threads, and hangs in a process that was forked from one in which it was used. So a parent
    that forks must not use the store, and a forked process raises instead of hanging.
    """

    def __init__(self, config: settings.Settings) -> None:
        """Use the bucket that the settings name; it is connected to when it is first used."""
        bucket, prefix = _split_url(config.storage_url)
        self._bucket = obstore.store.S3Store(
            bucket,
            prefix=prefix or None,
            client_options={**_CLIENT, "allow_http": config.storage_endpoint.startswith("http://")},
            retry_config=_RETRIES,
            config=_credentials(config),
        )
        self._staging = scratch.ProcessScratch(config.cache_path() / "staging")

    @property
    def _objects(self) -> obstore.store.S3Store:
        _refuse_forked_process()
        return self._bucket

    def check(self) -> None:
        """Write a little, and remove it; raises StoreDownError when the store can't be written."""
        key = f"readiness-{ids.new_ulid()}"
        with _translated_errors():
            obstore.put(self._objects, key, b"", mode="overwrite")
        self.remove(key)

    def stage(self, key: str) -> store.Output:
        """Choose a new file on this host to write."""
        store.require_key(key)
        return store.Output(self._staging.path / f"{ids.new_ulid()}-{key.rpartition('/')[2]}", key)

    def publish(self, output: store.Output) -> None:
        """Make a staged file an object; raises FileExistsError rather than change an existing one."""
        key = store.require_key(output.key)
        with _translated_errors():
            if output.path.stat().st_size <= _SINGLE_REQUEST_BYTES:
                obstore.put(self._objects, key, output.path.read_bytes(), mode="create")
            else:
                self._put_in_parts(output.path, key)
        output.path.unlink()

    def _put_in_parts(self, path: pathlib.Path, key: str) -> None:
        """Write a large object with little memory, and never over an existing one.

        S3 can make the end of such a write conditional, but the library can't request that. So the writer first creates
        a small marker object beside the key, which only one writer can do, and then checks that the key is free. A
        marker that a killed writer leaves behind keeps the key from being written, and is pruned like the other remains
        of its job. See docs/decisions/storage.md, "Objects on S3 are put conditionally, never overwritten".
        """
        marker = f"{key}.writing"
        obstore.put(self._objects, marker, b"", mode="create")
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
            self.remove(marker)

    def open_read(self, key: str) -> io.BufferedReader:
        """Open an object for reading; bytes are requested in ranges, as they are read."""
        with _translated_errors():
            size = obstore.head(self._objects, store.require_key(key))["size"]
        raw = _RangeReader(self._objects, key, size=size)
        return io.BufferedReader(raw, buffer_size=_READ_BYTES)

    def fetch(self, key: str, *, sha256: str, hold: hostcache.Hold) -> pathlib.Path:
        """Return an object's file in this host's cache, into which one process of the host downloads it."""
        name = f"object-{sha256}"
        path = hold.link(name, functools.partial(self._download, store.require_key(key), sha256=sha256))
        if digests.of_file(path) != sha256:
            # The cached file was damaged after its download; the store still has the object.
            hold.cache.drop(name)
            path = hold.link(name, functools.partial(self._download, key, sha256=sha256))
        return path

    def _download(self, key: str, path: pathlib.Path, *, sha256: str) -> None:
        try:
            with self.open_read(key) as source, path.open("xb") as target:
                while chunk := source.read(_FETCH_BYTES):
                    target.write(chunk)
        except FileNotFoundError as error:
            raise store.missing_error(key) from error
        actual_sha256 = digests.of_file(path)
        if actual_sha256 != sha256:
            raise store.changed_error(key, actual_sha256=actual_sha256, sha256=sha256)

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None when there is no such object."""
        with _translated_errors(), contextlib.suppress(FileNotFoundError):
            return obstore.head(self._objects, store.require_key(key))["size"]
        return None

    def etag(self, key: str) -> str:
        """Build a text from the bucket's own ETag of an object, its size and its time."""
        with _translated_errors():
            meta = obstore.head(self._objects, store.require_key(key))
        return f"{meta['e_tag']}-{meta['size']}-{meta['last_modified'].timestamp()}"

    def list(self, folder: str = "") -> Iterator[store.Listed]:
        """List the objects whose names begin with `folder/`, or all."""
        prefix = store.key_prefix(folder)
        with _translated_errors():
            for page in obstore.list(self._objects, folder or None):
                for meta in page:
                    if meta["path"].startswith(prefix):
                        modified_at = int(meta["last_modified"].timestamp() * 1000)
                        yield store.Listed(meta["path"], meta["size"], modified_at)

    def remove(self, *keys: str) -> None:
        """Remove objects, many with one request."""
        checked_keys = [store.require_key(key) for key in keys]
        with _translated_errors():
            for batch in batched(checked_keys, size=_MAX_REMOVED):
                obstore.delete(self._objects, batch)


class _RangeReader(io.RawIOBase):
    """An object as a file: each read requests one range, so that no response exceeds its time limit."""

    def __init__(self, bucket: obstore.store.S3Store, key: str, *, size: int) -> None:
        self._bucket = bucket
        self._key = key
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size - self._position)
        if length <= 0:
            return 0
        with _translated_errors():
            data = memoryview(obstore.get_range(self._bucket, self._key, start=self._position, length=length))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def _split_url(url: str) -> tuple[str, str]:
    """Split `s3://bucket/prefix` into bucket and prefix."""
    split = urllib.parse.urlsplit(url)
    if split.scheme != "s3" or not split.netloc or "@" in split.netloc or split.query or split.fragment:
        raise ValueError("MILLRACE_STORAGE_URL is no s3://bucket/prefix; credentials have settings of their own")
    return split.netloc, split.path.strip("/")


def _credentials(config: settings.Settings) -> "S3Config":
    """Collect the credentials that are set; the library takes others from AWS's own variables or the machine's role."""
    options: S3Config = {"region": config.storage_region}
    if config.storage_endpoint:
        options["endpoint"] = config.storage_endpoint
    if config.storage_access_key_id:
        options["access_key_id"] = config.storage_access_key_id
        options["secret_access_key"] = config.storage_secret_access_key.get_secret_value()
    return options


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise the library's errors as those of the store; its messages hold addresses, so ours leave them out."""
    try:
        yield
    except obstore.exceptions.AlreadyExistsError as error:
        raise FileExistsError("the key is taken: an object is never changed") from error
    except obstore.exceptions.InvalidPathError as error:
        # The library can't skip such a name, so nothing can be listed as long as it exists.
        raise store.StoreDownError(
            f"The bucket holds a name that can't be listed; remove it. {str(error).splitlines()[0]}"
        ) from error
    except obstore.exceptions.BaseError as error:
        raise store.StoreDownError(f"The object store can't be used ({type(error).__name__}).") from error


_first_pid: int | None = None


def _refuse_forked_process() -> None:
    global _first_pid
    if _first_pid is None:
        _first_pid = os.getpid()
    elif _first_pid != os.getpid():
        raise RuntimeError("S3 was used in the process that this one was forked from, so it can't be used here")
