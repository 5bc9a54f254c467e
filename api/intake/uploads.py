"""Uploads: bytes that a client sends go to the object store as they come, never held whole in memory."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from api.intake import pins
from api.intake.orders import Accepted
from shared import errors, ids
from shared.objects import store

_LARGEST_COMMAND_BYTES = 64 * 1024


def keep(
    objects: store.Store, chunks: Iterator[bytes], *, tenant_id: str, max_bytes: int, what: str
) -> tuple[str, dict[str, Any]]:
    """Store the bytes of `what` (a table, an archive); returns the upload's id and its pin.

    Raises TooLargeError beyond `max_bytes`, MalformedRequestError when there are none.
    """
    upload = ids.new_ulid()
    key = pins.upload_key(upload, tenant_id=tenant_id)
    digest, size = hashlib.sha256(), 0
    with objects.write(key) as file:
        for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise errors.TooLargeError(f"The upload is larger than {max_bytes} bytes, the most that is taken.")
            digest.update(chunk)
            file.write(chunk)
        if size == 0:
            raise errors.MalformedRequestError(f"The body is empty; send the {what}'s bytes.")
    return upload, {"key": key, "bytes": size, "sha256": digest.hexdigest()}


def read_small_upload(objects: store.Store, pin: dict[str, Any]) -> bytes | None:
    """Read an upload that is small enough to be a command; None when it is larger."""
    if pin["bytes"] > _LARGEST_COMMAND_BYTES:
        return None
    with objects.open_read(pin["key"]) as file:
        return file.read()


def forget_upload(objects: store.Store, pin: dict[str, Any]) -> None:
    """Remove an upload that no job will read."""
    objects.remove(pin["key"])


def submit_with_upload(
    objects: store.Store, pin: dict[str, Any], submit: Callable[[], Sequence[Accepted]]
) -> Sequence[Accepted]:
    """Submit the jobs that read an upload, and remove it when none will, because they are refused or there already."""
    try:
        accepted = submit()
    except errors.UnavailableError:
        # The commit may have come through all the same, and its jobs need the bytes.
        raise
    except errors.RequestError:
        forget_upload(objects, pin)
        raise
    if not accepted[0].is_new:
        forget_upload(objects, pin)
    return accepted
