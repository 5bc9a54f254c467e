"""Batches of answered requests on their way from a copy of the inference server to the job that writes Parquet of them.

A copy knows only the object store, so a batch is an object there, of which a segment tells; see
`shared.prediction.records.segments`. docs/decisions/serving.md, "The prediction log is written by copies as batches,
and by jobs as Parquet"
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from shared.objects import store

FOLDER = "Serving-log"
"""Capital, because no tenant is called so, and a tenant's objects are in a folder of its name."""
_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Call:
    """A request that was answered."""

    at_ms: int
    """When, in epoch milliseconds by the copy's clock."""
    seconds: float
    """How long it took to answer, from its rows to their ids."""
    versions: list[str]
    """The version that answered each row, as `name@version`, or one text when it was the same for all."""
    ids: list[str]
    """The signed ids of its rows, one for each 64; they say revision, arm, unit and time. None before there is a key.
    """
    given: dict[str, list[Any]]
    """The columns that are kept, with what was looked up for the rows."""
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


@dataclasses.dataclass(frozen=True)
class Batch:
    """Requests that a copy answered as a revision of a deployment."""

    deployment: str
    revision: int
    inputs: dict[str, list[tuple[str, str]]]
    """The columns that are kept of each version, by `name@version`: name and type, as its signature has them."""
    outputs: dict[str, str]
    """The types of the columns that were answered."""
    calls: list[Call]


def write_call(
    *,
    at_ms: int,
    seconds: float,
    versions: Sequence[str],
    ids: Sequence[str],
    given: Mapping[str, Sequence[Any]] | Sequence[Sequence[Any]],
    names: Sequence[str],
    values: Sequence[Sequence[Any]],
    default: Callable[[Any], Any],
) -> bytes:
    """Write a request, as `Call` describes it; raises TypeError for what JSON can't say.

    `given` without names has all columns that the batch has of the version, in that order.

    `default` turns values that JSON doesn't know into others.
    """
    return orjson.dumps((at_ms, seconds, versions, ids, given, names, values), default=default)


def write(
    *,
    deployment: str,
    revision: int,
    inputs: Mapping[str, Sequence[tuple[str, str]]],
    outputs: Mapping[str, str],
    calls: Iterable[bytes],
) -> bytes:
    """Write a batch of requests that have been written."""
    head = orjson.dumps(
        {"format": _FORMAT, "deployment": deployment, "revision": revision, "inputs": inputs, "outputs": outputs}
    )
    return b'%b,"calls":[%b]}' % (head[:-1], b",".join(calls))


def read(content: bytes) -> Batch:
    """Read a batch; raises DamagedError when it can't be read as one."""
    try:
        document = orjson.loads(content)
        if document.pop("format") != _FORMAT:
            raise ValueError("another release wrote it")
        inputs = {
            label: [(name, type_) for name, type_ in columns] for label, columns in document.pop("inputs").items()
        }
        names = {label: [name for name, _ in columns] for label, columns in inputs.items()}
        calls = [_read_call(fields, names) for fields in document.pop("calls")]
        return Batch(inputs=inputs, calls=calls, **document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise store.DamagedError(f"A batch of the prediction log can't be read: {error}.") from error


def _read_call(fields: list[Any], names: Mapping[str, Sequence[str]]) -> Call:
    """Read a request, and give its columns their names if it was written without."""
    at_ms, seconds, versions, ids, given, answered, values = fields
    if not isinstance(given, dict):
        given = dict(zip(names[versions[0]], given, strict=True))
    return Call(at_ms, seconds, versions, ids, given, answered, values)


def key_of(name: str) -> str:
    """Build the key of a batch's object."""
    return store.require_key(f"{FOLDER}/{name}.json")
