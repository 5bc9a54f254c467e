"""Batches of requests on their way from a copy of the inference server to the job that lets shadows predict them.

A copy knows only the object store, so a batch is an object there, of which a segment tells; see
`shared.prediction.records.segments`. docs/decisions/serving.md, "Shadows predict in jobs, from what copies sampled"
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from shared.objects import store

FOLDER = "Serving-shadows"
"""Capital, because no tenant is called so, and a tenant's objects are in a folder of its name."""
_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Call:
    """A request that was answered, as a shadow gets it."""

    draw: float
    """From 0 to 100; shadows with a greater percentage get the request."""
    at_ms: int
    """When it was answered, in epoch milliseconds by the copy's clock."""
    seconds: float
    """How long predicting took there."""
    versions: list[str]
    """The version that answered each row, as `name@version`, or one text when it was the same for all."""
    given: dict[str, list[Any]]
    """Columns of values."""
    names: list[str]
    """The columns that were answered."""
    values: list[list[Any]]
    """By column of `names`, for each row."""

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.values[0])

    def version_of(self, row: int) -> str:
        """Return the version that answered a row."""
        return self.versions[row if len(self.versions) > 1 else 0]


def write_call(
    *,
    draw: float,
    at_ms: int,
    seconds: float,
    versions: Sequence[str],
    given: Mapping[str, Sequence[Any]],
    names: Sequence[str],
    values: Sequence[Sequence[Any]],
) -> bytes:
    """Write a request, as `Call` describes it; raises TypeError for what JSON can't say."""
    return orjson.dumps((draw, at_ms, seconds, versions, given, names, values))


def write(calls: Iterable[bytes]) -> bytes:
    """Write a batch of requests that have been written."""
    return b'{"format":%d,"calls":[%b]}' % (_FORMAT, b",".join(calls))


def read(content: bytes) -> list[Call]:
    """Read a batch; raises DamagedError when it can't be read as one."""
    try:
        document = orjson.loads(content)
        if document["format"] != _FORMAT:
            raise ValueError("another release wrote it")
        return [Call(*fields) for fields in document["calls"]]
    except (ValueError, KeyError, TypeError) as error:
        raise store.DamagedError(f"A batch for shadows can't be read: {error}.") from error


def key_of(name: str) -> str:
    """Build the key of a batch's object."""
    return store.require_key(f"{FOLDER}/{name}.json")
