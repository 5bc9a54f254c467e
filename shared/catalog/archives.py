"""Archives: versions of datasets, feature sets and models in one tar file, signed with a key.

The members have a fixed order: `archive.json`, then `items/0.json`, `objects/0`, `items/1.json` and so on. The head,
`archive.json`, is signed, and has a hash over all that follows; so a reader that knows the key reads nothing but what
Millrace wrote. The reader accepts only plain files of these names and sizes, and looks at one header at a time: links,
folders, sparse files and extended headers are refused, nothing is compressed, and no name becomes a path.
docs/decisions/storage.md, "Archives are signed, and adopted by the roles that own what is in them".
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
_MAX_HEAD_BYTES = 4 * 1024 * 1024
_MAX_ITEM_BYTES = 64 * 1024 * 1024
MAX_ITEMS = 10_000
"""The most versions that one archive may hold."""

Type = Literal[contract.Kept, "fitting_data"]
"""The types of items. `fitting_data` is no version: it is what a feature set was fitted on, when the archive has no
dataset with these bytes."""


StoredName = Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
"""The name of a stored version; earlier releases appended `-predictions` and the like to names of 63 characters."""


class Item(contract.Document):
    """A version in an archive: its row, and the hash and size of its object."""

    role: str = pydantic.Field(max_length=32, description="The role that owns it.")
    type: Type = pydantic.Field(description="What it is a version of.")
    name: StoredName = pydantic.Field(description="Its name.")
    version: int = pydantic.Field(ge=1, description="Its number in the system that it was exported from.")
    sha256: str = pydantic.Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its object.")
    bytes: int = pydantic.Field(ge=0, description="Size of its object, in bytes.")
    row: dict[str, pydantic.JsonValue] = pydantic.Field(description="The columns of its row.")

    @property
    def label(self) -> str:
        """The version as a reference, `name@version`, in the system that it was exported from."""
        return f"{self.name}@{self.version}"


class Head(contract.Document):
    """The signed head of an archive: its format, tenant, contents and hash."""

    format: Literal["millrace-archive"] = pydantic.Field(description="Always `millrace-archive`.")
    version: Literal[1] = pydantic.Field(description="Version of the format.")
    tenant: str = pydantic.Field(max_length=64, description="The tenant whose versions it holds.")
    created_at: str = pydantic.Field(max_length=40, description="When it was created.")
    count: int = pydantic.Field(ge=0, le=MAX_ITEMS, description="How many items follow.")
    names: dict[str, dict[Type, list[StoredName]]] = pydantic.Field(
        description="The names of the items, by role and type."
    )
    sha256: str = pydantic.Field(pattern=r"^[0-9a-f]{64}$", description="Hash over all items and objects.")
    signature: str = pydantic.Field(default="", max_length=64, description="HMAC-SHA-256 over the head without it.")


@dataclasses.dataclass(frozen=True)
class Source:
    """A version to pack: its item, and a function that opens its object."""

    item: Item
    open: Callable[[], io.BufferedReader]


def write(file: BinaryIO, sources: Sequence[Source], *, tenant: str, created_at: str, key: bytes) -> None:
    """Write an archive; PermanentError when an object is gone, or not what its row says."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(_digest_line(source.item, _serialize(source.item)))
    head = Head.model_validate(
        {
            "format": "millrace-archive",
            "version": 1,
            "tenant": tenant,
            "created_at": created_at,
            "count": len(sources),
            "names": _collect_names([source.item for source in sources]),
            "sha256": digest.hexdigest(),
        }
    )
    head = head.model_copy(update={"signature": _sign(head, key=key)})
    _add(file, "archive.json", head.model_dump_json().encode())
    for index, source in enumerate(sources):
        _add(file, f"items/{index}.json", _serialize(source.item))
        _add_object(file, f"objects/{index}", source)
    file.write(b"\0" * (2 * _BLOCK))


def _collect_names(items: Sequence[Item]) -> dict[str, dict[str, list[str]]]:
    names: dict[str, dict[str, list[str]]] = {}
    for role, type_, name in sorted({(item.role, item.type, item.name) for item in items}):
        names.setdefault(role, {}).setdefault(type_, []).append(name)
    return names


def _serialize(item: Item) -> bytes:
    return item.model_dump_json().encode()


def _digest_line(item: Item, document: bytes) -> bytes:
    return f"{hashlib.sha256(document).hexdigest()} {item.sha256} {item.bytes}\n".encode()


def _sign(head: Head, *, key: bytes) -> str:
    return hmac.new(key, head.model_dump_json(exclude={"signature"}).encode(), hashlib.sha256).hexdigest()


def _build_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    # GNU's form has a place for sizes beyond 8 GiB in the header itself.
    return info.tobuf(tarfile.GNU_FORMAT)


def _add(file: BinaryIO, name: str, content: bytes) -> None:
    file.write(_build_header(name, len(content)))
    file.write(content)
    file.write(b"\0" * (-len(content) % _BLOCK))


def _add_object(file: BinaryIO, name: str, source: Source) -> None:
    item = source.item
    file.write(_build_header(name, item.bytes))
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


# Reading: every problem is an UnsafeArtifactError that names the member.


def read_head(file: BinaryIO) -> Head:
    """Read an archive's head; for an archive from outside, call `check_head` as well."""
    content = _read_member(file, "archive.json", most=_MAX_HEAD_BYTES)
    try:
        return Head.model_validate_json(content)
    except (pydantic.ValidationError, RecursionError) as invalid:
        raise errors.UnsafeArtifactError("archive.json is not the head of an archive that Millrace made.") from invalid


def check_head(head: Head, *, key: bytes, tenant: str) -> None:
    """Raise UnsafeArtifactError unless an archive was signed with the key, for the tenant."""
    if not hmac.compare_digest(head.signature.encode(), _sign(head, key=key).encode()):
        raise errors.UnsafeArtifactError(
            "The archive was not signed with this system's key; systems that exchange archives need the same "
            "MILLRACE_ARCHIVE_KEY."
        )
    if head.tenant != tenant:
        raise errors.UnsafeArtifactError(f"The archive belongs to the tenant {head.tenant!r}, not {tenant!r}.")


def read_items(
    file: BinaryIO, head: Head, *, into: pathlib.Path, select: Callable[[Item], bool]
) -> Iterator[tuple[Item, pathlib.Path]]:
    """Read the items that `select` accepts, each with a file of its object; trust none before the iterator has ended.

    Its last step raises when the archive is not what the head says, so nothing may be stored before that.
    """
    digest = hashlib.sha256()
    for index in range(head.count):
        document = _read_member(file, f"items/{index}.json", most=_MAX_ITEM_BYTES)
        try:
            item = Item.model_validate_json(document)
        except (pydantic.ValidationError, RecursionError) as invalid:
            raise errors.UnsafeArtifactError(f"items/{index}.json is not the row of a version.") from invalid
        digest.update(_digest_line(item, document))
        path = into / f"object-{index}" if select(item) else None
        _read_object(file, f"objects/{index}", item, path)
        if path is not None:
            yield item, path
    if digest.hexdigest() != head.sha256:
        raise errors.UnsafeArtifactError("The archive's items are not those that its head was signed for.")
    _check_end(file)


def _read_header(file: BinaryIO, name: str) -> int:
    """Read the header of the next member, which must be a plain file of that name; return its size in bytes."""
    block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        raise _cut_off_error(name)
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, ValueError) as invalid:
        raise errors.UnsafeArtifactError(f"The archive has no readable header where {name} should be.") from invalid
    if info.type != tarfile.REGTYPE or info.name != name or info.size < 0:
        raise errors.UnsafeArtifactError(
            f"The archive has {info.name[:100]!r} (type {info.type!r}) where the plain file {name} should be."
        )
    return info.size


def _cut_off_error(name: str) -> errors.UnsafeArtifactError:
    return errors.UnsafeArtifactError(f"The archive is cut off at {name}; send the complete file.")


def _read_member(file: BinaryIO, name: str, *, most: int) -> bytes:
    size = _read_header(file, name)
    if size > most:
        raise errors.UnsafeArtifactError(f"{name} has {size} bytes; at most {most} are read.")
    content = file.read(size)
    if len(content) != size:
        raise _cut_off_error(name)
    _skip_padding(file, size)
    return content


def _read_object(file: BinaryIO, name: str, item: Item, path: pathlib.Path | None) -> None:
    size = _read_header(file, name)
    if size != item.bytes:
        raise errors.UnsafeArtifactError(f"{name} has {size} bytes, but its row says {item.bytes}.")
    digest, remaining = hashlib.sha256(), size
    with (path or pathlib.Path(os.devnull)).open("wb") as target:
        while remaining:
            chunk = file.read(min(_CHUNK_BYTES, remaining))
            if not chunk:
                raise _cut_off_error(name)
            remaining -= len(chunk)
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != item.sha256:
        raise errors.UnsafeArtifactError(f"{name} has another SHA-256 than its row says; it was changed.")
    _skip_padding(file, size)


def _skip_padding(file: BinaryIO, size: int) -> None:
    file.read(-size % _BLOCK)


def _check_end(file: BinaryIO) -> None:
    rest = file.read(tarfile.RECORDSIZE + 1)
    if rest.strip(b"\0") or len(rest) > tarfile.RECORDSIZE:
        raise errors.UnsafeArtifactError("The archive goes on after its last object.")
