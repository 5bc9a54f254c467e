"""Checks that an object is what its row says, before any byte of it is sent.

An object is hashed once per process and state of its bytes: one that was overwritten is detected at once, and a preview
of one that was checked before costs no more than opening it. See docs/decisions/storage.md, "What the API sends is
checked before its first byte, and always has a length".
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import structlog

from shared import errors, faults
from shared.objects import store

_log = structlog.get_logger()
_MAX_CACHED = 10_000


@dataclasses.dataclass(frozen=True)
class VerifiedObject:
    """An object whose SHA-256 was checked while it had this ETag; equal ones have equal bytes."""

    objects: store.Store
    key: str
    etag: str
    label: str

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return self.objects.open_read(self.key)


def check(objects: store.Store, key: str, *, sha256: str, label: str) -> VerifiedObject:
    """Check that an object is what its row says; raises NotFoundError when it is gone, DamagedError when changed."""
    with translate_errors(key, label=label):
        verified = VerifiedObject(objects, key, objects.etag(key), label)
        actual_sha256 = _hash(verified)
    if actual_sha256 != sha256:
        raise _damaged(f"it has SHA-256 {actual_sha256}, not {sha256}", key=key, label=label)
    return verified


@contextlib.contextmanager
def translate_errors(key: str, *, label: str) -> Iterator[None]:
    """Turn errors of reading an object into NotFoundError and DamagedError, which clients understand."""
    try:
        yield
    except store.StoreDownError:
        raise
    except FileNotFoundError as error:
        raise errors.NotFoundError(f"The object of {label} is gone from the store.") from error
    except (OSError, pa.ArrowException) as error:
        if (fault := faults.find(error)) is not None:
            raise faults.to_error(fault) from error
        raise _damaged(f"it can't be read ({type(error).__name__})", key=key, label=label) from error


def _damaged(reason: str, *, key: str, label: str) -> store.DamagedError:
    # Logged too, because the operator has to know.
    _log.error("object_damaged", key=key, reason=reason)
    return store.DamagedError(
        f"The object of {label} is damaged: {reason}. POST /v1/storage/verify lists all damaged objects."
    )


@functools.lru_cache(maxsize=_MAX_CACHED)
def _hash(verified: VerifiedObject) -> str:
    return verified.objects.sha256(verified.key)
