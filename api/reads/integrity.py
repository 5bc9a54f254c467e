"""Seeing that an object is what its row says before a byte of it is answered.

An object is hashed once per process and state of its bytes. One that was overwritten is found at once, and reading a
little of one that was seen before costs no more than opening it.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import structlog

from shared import errors
from shared.objects import store

_log = structlog.get_logger()
_MOST_REMEMBERED = 10_000


@dataclasses.dataclass(frozen=True)
class Sound:
    """An object in the state in which it was seen to be sound; equal ones have equal bytes."""

    objects: store.Store
    key: str
    state: str
    label: str

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return self.objects.open_read(self.key)


def check(objects: store.Store, key: str, *, sha256: str, label: str) -> Sound:
    """Check that an object is what its row says; raises NotFoundError when it is gone, DamagedError when changed."""
    with faults(key, label=label):
        sound = Sound(objects, key, objects.etag(key), label)
        seen = _hash(sound)
    if seen != sha256:
        raise _damaged(f"it has SHA-256 {seen}, not {sha256}", key=key, label=label)
    return sound


@contextlib.contextmanager
def faults(key: str, *, label: str) -> Iterator[None]:
    """Raise what goes wrong while an object is read as what a client can use."""
    try:
        yield
    except store.StoreDownError:
        raise
    except FileNotFoundError as gone:
        raise errors.NotFoundError(f"The object of {label} is gone from the store.") from gone
    except (OSError, pa.ArrowException) as fault:
        raise _damaged(f"it can't be read ({type(fault).__name__})", key=key, label=label) from fault


def _damaged(fault: str, *, key: str, label: str) -> store.DamagedError:
    # The operator must learn of it too.
    _log.error("object_damaged", key=key, fault=fault)
    return store.DamagedError(
        f"The object of {label} is damaged: {fault}. POST /v1/storage/verify names all such objects."
    )


@functools.lru_cache(maxsize=_MOST_REMEMBERED)
def _hash(sound: Sound) -> str:
    return sound.objects.sha256(sound.key)
