"""Finds and reads objects in S3-compatible stores that the operator has named."""

import contextlib
import datetime
from collections.abc import Callable, Iterator
from typing import Any

import obstore
import obstore.exceptions
import obstore.store

from shared import errors
from shared.ingestion import connections
from workers.ingestion.sources import listing

CONNECT_SECONDS = 10
RETRY_SECONDS = 60
MOST_LISTED = 100_000
REFUSALS = (
    obstore.exceptions.PermissionDeniedError,
    obstore.exceptions.UnauthenticatedError,
    obstore.exceptions.InvalidPathError,
    ValueError,
)


def find(url: str, *, held: connections.ObjectStore, name: str, seconds: float) -> list[listing.Found]:
    """Give the objects that an s3 URL names; PermanentError when the connection `name` doesn't open their bucket."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if bucket not in held.buckets:
        raise errors.PermanentError(f"The connection {name!r} doesn't open the bucket {bucket!r}.")
    store = _store(held, bucket=bucket, seconds=seconds)
    folder, slash, last = key.rpartition("/")
    keys = [key]
    if listing.is_pattern(last):
        with _faults_named(url, name=name):
            keys = [f"{folder}{slash}{one}" for one in listing.matching(_names(store, folder), last)]
    return [listing.Found(f"s3://{bucket}/{one}", _chunks(store, one, name=name)) for one in keys]


def _store(held: connections.ObjectStore, *, bucket: str, seconds: float) -> obstore.store.S3Store:
    return obstore.store.S3Store(
        bucket,
        config=_configured(held),
        client_options={
            "allow_http": (held.endpoint or "").startswith("http:"),
            "connect_timeout": datetime.timedelta(seconds=CONNECT_SECONDS),
            "timeout": datetime.timedelta(seconds=seconds),
        },
        retry_config={"max_retries": 2, "retry_timeout": datetime.timedelta(seconds=RETRY_SECONDS)},
    )


def _configured(held: connections.ObjectStore) -> Any:
    secrets = {"access_key_id": held.access_key_id, "secret_access_key": held.secret_access_key}
    return {
        "region": held.region,
        "skip_signature": held.anonymous,
        "virtual_hosted_style_request": not held.path_style,
        **({"endpoint": held.endpoint} if held.endpoint else {}),
        **{field: secret.get_secret_value() for field, secret in secrets.items() if secret is not None},
    }


def _names(store: obstore.store.S3Store, folder: str) -> list[str]:
    listed = obstore.list_with_delimiter(store, prefix=folder or None)["objects"]
    if len(listed) > MOST_LISTED:
        raise errors.LimitExceededError(f"The folder has more than {MOST_LISTED:,} objects; name them more closely.")
    return [entry["path"].rpartition("/")[2] for entry in listed]


def _chunks(
    store: obstore.store.S3Store, key: str, *, name: str
) -> Callable[[], contextlib.AbstractContextManager[Iterator[bytes]]]:
    @contextlib.contextmanager
    def chunks() -> Iterator[Iterator[bytes]]:
        with _faults_named(key, name=name):
            yield map(bytes, obstore.get(store, key).stream(min_chunk_size=listing.CHUNK_BYTES))

    return chunks


@contextlib.contextmanager
def _faults_named(address: str, *, name: str) -> Iterator[None]:
    """Raise a store's faults as errors of ours; their own text may show the endpoint and more."""
    try:
        yield
    except FileNotFoundError:
        raise errors.PermanentError(f"There is no object {address[:200]!r}.") from None
    except REFUSALS as error:
        raise errors.PermanentError(f"The store {name!r} refuses {address[:200]!r} ({type(error).__name__}).") from None
    except obstore.exceptions.BaseError as error:
        raise errors.RetryableError(
            f"The store {name!r} can't be read at the moment ({type(error).__name__})."
        ) from None
