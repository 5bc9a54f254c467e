"""Finds and reads objects in S3-compatible stores that the operator has named."""

import contextlib
import datetime
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import obstore
import obstore.exceptions
import obstore.store

from shared import errors
from shared.ingestion import connections
from shared.outbound import causes
from workers.ingestion.sources import listing

CONNECT_SECONDS = 10
RETRY_SECONDS = 60
MAX_LISTED = 100_000
REFUSALS = (
    obstore.exceptions.PermissionDeniedError,
    obstore.exceptions.UnauthenticatedError,
    obstore.exceptions.InvalidPathError,
    ValueError,
)


def find(
    url: str, *, connection: connections.ObjectStore, connection_name: str, seconds: float
) -> list[listing.SourceFile]:
    """Find the objects that an s3 URL selects; PermanentError when the connection doesn't open their bucket."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if bucket not in connection.buckets:
        raise errors.PermanentError(f"The connection {connection_name!r} doesn't open the bucket {bucket!r}.")
    store = _open_store(connection, bucket=bucket, seconds=seconds)
    folder, slash, pattern = key.rpartition("/")
    keys = [key]
    if listing.is_pattern(pattern):
        with _translate_errors(url, connection=connection, connection_name=connection_name):
            keys = [f"{folder}{slash}{match}" for match in listing.match_names(_list_names(store, folder), pattern)]

    def create_opener(key: str) -> Callable[[], contextlib.AbstractContextManager[Iterator[bytes]]]:
        return _create_opener(store, key, connection=connection, connection_name=connection_name)

    return [listing.SourceFile(f"s3://{bucket}/{key}", create_opener(key)) for key in keys]


def _open_store(connection: connections.ObjectStore, *, bucket: str, seconds: float) -> obstore.store.S3Store:
    return obstore.store.S3Store(
        bucket,
        config=_build_config(connection),
        client_options={
            "allow_http": (connection.endpoint or "").startswith("http:"),
            "connect_timeout": datetime.timedelta(seconds=CONNECT_SECONDS),
            "timeout": datetime.timedelta(seconds=seconds),
        },
        retry_config={"max_retries": 2, "retry_timeout": datetime.timedelta(seconds=RETRY_SECONDS)},
    )


def _build_config(connection: connections.ObjectStore) -> Any:
    secrets = {"access_key_id": connection.access_key_id, "secret_access_key": connection.secret_access_key}
    return {
        "region": connection.region,
        "skip_signature": connection.anonymous,
        "virtual_hosted_style_request": not connection.path_style,
        **({"endpoint": connection.endpoint} if connection.endpoint else {}),
        **{field: secret.get_secret_value() for field, secret in secrets.items() if secret is not None},
    }


def _list_names(store: obstore.store.S3Store, folder: str) -> list[str]:
    objects = obstore.list_with_delimiter(store, prefix=folder or None)["objects"]
    if len(objects) > MAX_LISTED:
        raise errors.LimitExceededError(
            f"The folder has more than {MAX_LISTED:,} objects; move the files to a folder of their own."
        )
    return [entry["path"].rpartition("/")[2] for entry in objects]


def _create_opener(
    store: obstore.store.S3Store, key: str, *, connection: connections.ObjectStore, connection_name: str
) -> Callable[[], contextlib.AbstractContextManager[Iterator[bytes]]]:
    @contextlib.contextmanager
    def open_chunks() -> Iterator[Iterator[bytes]]:
        with _translate_errors(key, connection=connection, connection_name=connection_name):
            yield map(bytes, obstore.get(store, key).stream(min_chunk_size=listing.CHUNK_BYTES))

    return open_chunks


@contextlib.contextmanager
def _translate_errors(address: str, *, connection: connections.ObjectStore, connection_name: str) -> Iterator[None]:
    """Raise a store's errors as errors of ours, whose text shows of the endpoint the host and the port alone."""
    try:
        yield
    except FileNotFoundError:
        raise errors.PermanentError(f"There is no object {address[:200]!r}.") from None
    except REFUSALS as error:
        raise errors.PermanentError(
            f"The store {connection_name!r} refuses {address[:200]!r} ({type(error).__name__})."
        ) from None
    except obstore.exceptions.BaseError as error:
        # What stands before it holds the object's name.
        cause = causes.explain(f"{error}".rpartition("inner:")[2])
        endpoint = urllib.parse.urlsplit(connection.endpoint or "").netloc.rpartition("@")[2]
        place = endpoint and f" at {endpoint}"
        raise errors.RetryableError(
            f"The store {connection_name!r}{place} can't be read at the moment ({type(error).__name__})"
            f"{cause and ': '}{cause}."
        ) from None
