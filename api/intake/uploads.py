"""Uploads: the bytes that a client sends are streamed to the object store, and never held in memory as a whole."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from api.intake import pins
from api.intake.orders import Accepted
from api.intake.quota import Quota
from shared import errors, ids
from shared.objects import store

_MAX_COMMAND_BYTES = 64 * 1024


def store_upload(
    objects: store.Store,
    chunks: Iterator[bytes],
    *,
    tenant_id: str,
    max_bytes: int,
    content: str,
    grow: Callable[[int], None],
) -> tuple[str, dict[str, Any]]:
    """Store an upload, whose `content` is named in errors (table, archive); returns its id and its pin.

    Raises TooLargeError beyond `max_bytes`, MalformedRequestError when it is empty; `grow` is told the size so far, and
    may refuse it.
    """
    upload = ids.new_ulid()
    key = pins.upload_key(upload, tenant_id=tenant_id)
    digest, size = hashlib.sha256(), 0
    with objects.write(key) as file:
        for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise errors.TooLargeError(f"The upload is larger than {max_bytes} bytes, which is the limit.")
            grow(size)
            digest.update(chunk)
            file.write(chunk)
        if size == 0:
            raise errors.MalformedRequestError(f"The body is empty; send the {content}'s bytes.")
    return upload, {"key": key, "bytes": size, "sha256": digest.hexdigest()}


def read_small_upload(objects: store.Store, pin: dict[str, Any]) -> bytes | None:
    """Read an upload that is small enough to be a command; None when it is larger."""
    if pin["bytes"] > _MAX_COMMAND_BYTES:
        return None
    with objects.open_read(pin["key"]) as file:
        return file.read()


def forget_upload(objects: store.Store, pin: dict[str, Any], *, quota: Quota, tenant_id: str) -> None:
    """Remove an upload that no job will read, and let it no longer count for the quota."""
    # In this order: a measurement in between counts the upload a moment too long, and never too short.
    quota.forget(tenant_id, pin["bytes"])
    objects.remove(pin["key"])


def submit_with_upload(
    objects: store.Store,
    pin: dict[str, Any],
    submit: Callable[[], Sequence[Accepted]],
    *,
    quota: Quota,
    tenant_id: str,
) -> Sequence[Accepted]:
    """Submit the jobs that read an upload; it is removed when they are refused or repeat an earlier request."""
    try:
        accepted = submit()
    except errors.UnavailableError:
        # The commit may have succeeded nevertheless, and then the jobs need the bytes.
        raise
    except errors.RequestError:
        forget_upload(objects, pin, quota=quota, tenant_id=tenant_id)
        raise
    if not accepted[0].is_new:
        forget_upload(objects, pin, quota=quota, tenant_id=tenant_id)
    return accepted
