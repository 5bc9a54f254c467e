"""Archives: versions of datasets, feature sets and models in one tar file that only a holder of its key can have made.

The members stand in one order: `archive.json`, then `items/0.json`, `objects/0`, `items/1.json` and so on. The head is
signed, and holds a hash over all that follows; so a reader that knows the key reads nothing but what Millrace wrote.
The reader takes plain files of these names and sizes only, and looks at one header at a time: there are no links,
folders, sparse files or extended headers to be misled by, nothing is packed, and no name becomes a path.
"""

import dataclasses
import hashlib
import hmac
import io
import os
import pathlib
import tarfile
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, BinaryIO, Literal

import pydantic

from shared import contract, errors

_BLOCK = tarfile.BLOCKSIZE
_CHUNK_BYTES = 1024 * 1024
_MOST_HEAD_BYTES = 4 * 1024 * 1024
_MOST_ITEM_BYTES = 64 * 1024 * 1024
MOST_ITEMS = 10_000
"""Versions that one archive may hold."""

Type = Literal[contract.Kept, "fitting_data"]
"""What items are; `fitting_data` is no version, but what a feature set was fitted on when no dataset of these bytes is
in the archive."""


StoredName = Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
"""The name of what is stored; earlier releases put `-predictions` and the like after names of 63 characters."""


class Item(contract.Document):
    """A version in an archive: its row, and what its object must be."""

    role: str = pydantic.Field(max_length=32, description="The role that keeps it.")
    type: Type = pydantic.Field(description="What it is a version of.")
    name: StoredName = pydantic.Field(description="Its name.")
    version: int = pydantic.Field(ge=1, description="Its number, where it came from.")
    sha256: str = pydantic.Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its object.")
    bytes: int = pydantic.Field(ge=0, description="Size of its object.")
    row: dict[str, pydantic.JsonValue] = pydantic.Field(description="What its row says of it.")

    @property
    def label(self) -> str:
        """The version as a reference named it, where it came from."""
        return f"{self.name}@{self.version}"


class Head(contract.Document):
    """What an archive says of itself."""

    format: Literal["millrace-archive"] = pydantic.Field(description="Always the same.")
    version: Literal[1] = pydantic.Field(description="Version of the format.")
    tenant: str = pydantic.Field(max_length=64, description="The tenant whose things it holds.")
    created_at: str = pydantic.Field(max_length=40, description="When it was made.")
    count: int = pydantic.Field(ge=0, le=MOST_ITEMS, description="How many items follow.")
    names: dict[str, dict[Type, list[StoredName]]] = pydantic.Field(
        description="The names of the items, by their role and type."
    )
    sha256: str = pydantic.Field(pattern=r"^[0-9a-f]{64}$", description="Hash over all items and objects.")
    signature: str = pydantic.Field(default="", max_length=64, description="HMAC-SHA-256 over the head without it.")


@dataclasses.dataclass(frozen=True)
class Source:
    """A version to pack: its item, and how its object is opened."""

    item: Item
    open: Callable[[], io.BufferedReader]


def write(file: BinaryIO, sources: Sequence[Source], *, tenant: str, created_at: str, key: bytes) -> None:
    """Write an archive; PermanentError when an object is gone, or not what its row says."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(_entry(source.item, _document(source.item)))
    head = Head.model_validate(
        {
            "format": "millrace-archive",
            "version": 1,
            "tenant": tenant,
            "created_at": created_at,
            "count": len(sources),
            "names": _names([source.item for source in sources]),
            "sha256": digest.hexdigest(),
        }
    )
    head = head.model_copy(update={"signature": _signature(head, key=key)})
    _add(file, "archive.json", head.model_dump_json().encode())
    for index, source in enumerate(sources):
        _add(file, f"items/{index}.json", _document(source.item))
        _add_object(file, f"objects/{index}", source)
    file.write(b"\0" * (2 * _BLOCK))


def _names(items: Sequence[Item]) -> dict[str, dict[str, list[str]]]:
    names: dict[str, dict[str, list[str]]] = {}
    for role, made, name in sorted({(item.role, item.type, item.name) for item in items}):
        names.setdefault(role, {}).setdefault(made, []).append(name)
    return names


def _document(item: Item) -> bytes:
    return item.model_dump_json().encode()


def _entry(item: Item, document: bytes) -> bytes:
    return f"{hashlib.sha256(document).hexdigest()} {item.sha256} {item.bytes}\n".encode()


def _signature(head: Head, *, key: bytes) -> str:
    return hmac.new(key, head.model_dump_json(exclude={"signature"}).encode(), hashlib.sha256).hexdigest()


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    # GNU's form has a place for sizes beyond 8 GiB in the header itself.
    return info.tobuf(tarfile.GNU_FORMAT)


def _add(file: BinaryIO, name: str, content: bytes) -> None:
    file.write(_header(name, len(content)))
    file.write(content)
    file.write(b"\0" * (-len(content) % _BLOCK))


def _add_object(file: BinaryIO, name: str, source: Source) -> None:
    item = source.item
    file.write(_header(name, item.bytes))
    digest, size = hashlib.sha256(), 0
    try:
        with source.open() as content:
            while chunk := content.read(_CHUNK_BYTES):
                size += len(chunk)
                digest.update(chunk)
                file.write(chunk)
    except FileNotFoundError as missing:
        raise errors.PermanentError(f"The object of {item.type} {item.label} is gone.") from missing
    if size != item.bytes or digest.hexdigest() != item.sha256:
        raise errors.PermanentError(f"The object of {item.type} {item.label} is not what its row says.")
    file.write(b"\0" * (-size % _BLOCK))


# Reading: every fault is an UnsafeArtifactError that says at which member it was.


def read_head(file: BinaryIO) -> Head:
    """Read an archive's head; who takes an archive in from outside must hold it against the key as well."""
    content = _member(file, "archive.json", most=_MOST_HEAD_BYTES)
    try:
        return Head.model_validate_json(content)
    except (pydantic.ValidationError, RecursionError) as wrong:
        raise errors.UnsafeArtifactError("archive.json is not the head of an archive that Millrace made.") from wrong


def check_head(head: Head, *, key: bytes, tenant: str) -> None:
    """Raise UnsafeArtifactError unless an archive was made with the key, for the tenant."""
    if not hmac.compare_digest(head.signature.encode(), _signature(head, key=key).encode()):
        raise errors.UnsafeArtifactError(
            "The archive was not signed with this system's key; systems that shall take each other's archives need "
            "the same MILLRACE_ARCHIVE_KEY."
        )
    if head.tenant != tenant:
        raise errors.UnsafeArtifactError(f"The archive is of the tenant {head.tenant!r}, not {tenant!r}.")


def read_items(
    file: BinaryIO, head: Head, *, into: pathlib.Path, wanted: Callable[[Item], bool]
) -> Iterator[tuple[Item, pathlib.Path]]:
    """Give the items that are wanted, each with a file of its object; believe none before the last was given.

    The last step raises when the whole is not what the head says, so nothing may be kept before that.
    """
    digest = hashlib.sha256()
    for index in range(head.count):
        document = _member(file, f"items/{index}.json", most=_MOST_ITEM_BYTES)
        try:
            item = Item.model_validate_json(document)
        except (pydantic.ValidationError, RecursionError) as wrong:
            raise errors.UnsafeArtifactError(f"items/{index}.json is not the row of a version.") from wrong
        digest.update(_entry(item, document))
        path = into / f"object-{index}" if wanted(item) else None
        _take_object(file, f"objects/{index}", item, path)
        if path is not None:
            yield item, path
    if digest.hexdigest() != head.sha256:
        raise errors.UnsafeArtifactError("The archive's items are not those that its head was signed for.")
    _check_end(file)


def _size_of(file: BinaryIO, name: str) -> int:
    """Read a header; it must be that of a plain file of the name that comes next."""
    block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        raise _cut_off(name)
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, ValueError) as wrong:
        raise errors.UnsafeArtifactError(f"The archive has no readable header where {name} should be.") from wrong
    if info.type != tarfile.REGTYPE or info.name != name or info.size < 0:
        raise errors.UnsafeArtifactError(
            f"The archive has {info.name[:100]!r} (type {info.type!r}) where the plain file {name} should be."
        )
    return info.size


def _cut_off(name: str) -> errors.UnsafeArtifactError:
    return errors.UnsafeArtifactError(f"The archive is cut off at {name}; send the whole of it.")


def _member(file: BinaryIO, name: str, *, most: int) -> bytes:
    size = _size_of(file, name)
    if size > most:
        raise errors.UnsafeArtifactError(f"{name} has {size} bytes; {most} is the most that is read.")
    content = file.read(size)
    if len(content) != size:
        raise _cut_off(name)
    _skip_padding(file, size)
    return content


def _take_object(file: BinaryIO, name: str, item: Item, path: pathlib.Path | None) -> None:
    size = _size_of(file, name)
    if size != item.bytes:
        raise errors.UnsafeArtifactError(f"{name} has {size} bytes, but its item says {item.bytes}.")
    digest, left = hashlib.sha256(), size
    with (path or pathlib.Path(os.devnull)).open("wb") as target:
        while left:
            chunk = file.read(min(_CHUNK_BYTES, left))
            if not chunk:
                raise _cut_off(name)
            left -= len(chunk)
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != item.sha256:
        raise errors.UnsafeArtifactError(f"{name} has another SHA-256 than its item says; it was changed.")
    _skip_padding(file, size)


def _skip_padding(file: BinaryIO, size: int) -> None:
    file.read(-size % _BLOCK)


def _check_end(file: BinaryIO) -> None:
    rest = file.read(tarfile.RECORDSIZE + 1)
    if rest.strip(b"\0") or len(rest) > tarfile.RECORDSIZE:
        raise errors.UnsafeArtifactError("The archive goes on after its last object.")
