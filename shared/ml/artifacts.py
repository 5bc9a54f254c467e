"""Stores fitted models with skops, and loads only what we wrote ourselves and only types that we list.

An artifact is a zip of uncompressed entries: arrays in numpy's format and `schema.json`, a tree of nodes that each
name a type and how it is rebuilt. skops trusts many types by itself (every estimator and numpy function), so the
tree is checked against our own list first.
docs/decisions/models.md, "Artifacts are skops files that are walked against our own list before anything is loaded".
"""

import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from skops import io as skops_io

from shared import errors
from shared.ml import artifact_types, source_code

SCHEMA = "schema.json"
# The earliest time of the zip format; with a fixed one, equal models give equal bytes.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
MAX_SCHEMA_BYTES = 1 << 30
MAX_ENTRIES = 1_000_000
PROTOCOL = 2


def save(model: Any, path: Path) -> None:
    """Write a fitted model; equal models give equal bytes. UnsafeArtifactError for a type that is not on our list.

    The file carries the source of our own types: docs/decisions/models.md, "An artifact carries the code of our types".
    """
    try:
        stored = skops_io.dumps(model)
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise errors.UnsafeArtifactError(f"{type(model).__name__} can't be stored safely: {error}") from error
    with zipfile.ZipFile(io.BytesIO(stored)) as source:
        schema = json.loads(source.read(SCHEMA))
        _require_allowed(schema)
        _write_canonically(schema, source, path)


def load(path: Path, *, sha256: str) -> Any:
    """Read a model that `save` wrote. UnsafeArtifactError when its hash, its form or a type in it is not ours."""
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != sha256:
            raise errors.UnsafeArtifactError(f"the artifact's SHA-256 is {actual}, but {sha256} was recorded for it")
        file.seek(0)
        try:
            _require_allowed(_read_schema(file))
            file.seek(0)
            return skops_io.load(file, trusted=sorted(artifact_types.list_names()))
        except errors.UnsafeArtifactError:
            raise
        except Exception as error:
            # A broken file makes skops, numpy or an estimator raise any exception; all mean the same.
            raise errors.UnsafeArtifactError(f"the artifact can't be read: {type(error).__name__}: {error}") from error


def _read_schema(file: BinaryIO) -> dict[str, Any]:
    size = file.seek(0, io.SEEK_END)
    try:
        with zipfile.ZipFile(file) as source:
            _require_plain(source.infolist(), size=size)
            return dict(json.loads(source.read(SCHEMA)))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise errors.UnsafeArtifactError(f"this is not an artifact of Millrace: {error}") from error


def _require_plain(entries: list[zipfile.ZipInfo], *, size: int) -> None:
    """Refuse entries that could grow on reading: compressed, repeated or overlapping ones, or far too many."""
    if len(entries) > MAX_ENTRIES or len({entry.filename for entry in entries}) < len(entries):
        raise errors.UnsafeArtifactError("the artifact has too many entries, or two of the same name")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise errors.UnsafeArtifactError(f"the artifact's entry {entry.filename!r} is compressed; ours never are")
        if entry.filename == SCHEMA and entry.file_size > MAX_SCHEMA_BYTES:
            raise errors.UnsafeArtifactError(f"the artifact's schema has {entry.file_size} bytes")
    if sum(entry.file_size for entry in entries) > size:
        raise errors.UnsafeArtifactError("the artifact's entries claim more bytes than the file has")


def _require_allowed(schema: dict[str, Any]) -> None:
    """Check every node of the tree against our list."""
    if schema.get("protocol") != PROTOCOL:
        raise errors.UnsafeArtifactError(f"the artifact's protocol is {schema.get('protocol')!r}, ours is {PROTOCOL}")
    pending: list[Any] = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            pending.extend(value.values())
            if "__loader__" in value or "__class__" in value or "__module__" in value:
                _require_allowed_node(value)


def _require_allowed_node(node: dict[str, Any]) -> None:
    loader = node.get("__loader__")
    name = f"{node.get('__module__')}.{node.get('__class__')}"
    if not isinstance(loader, str) or name not in artifact_types.list_by_loader().get(loader, frozenset()):
        raise errors.UnsafeArtifactError(f"the artifact holds {name} (by {loader}), which is not on our list of types")


def _write_canonically(schema: dict[str, Any], source: zipfile.ZipFile, path: Path) -> None:
    """Replace the memory addresses that skops uses as names by numbers in order of appearance.

    Plain values are named by their content: whether two equal texts are one object in memory is no part of the model.
    """
    numbers: dict[Any, int] = {}
    file_names: dict[str, str] = {}

    def rename(value: Any) -> Any:
        if isinstance(value, list):
            return [rename(item) for item in value]
        if not isinstance(value, dict):
            return value
        copy = {key: rename(item) for key, item in value.items()}
        if "__loader__" in value and "__id__" in value:
            name = value.get("content") if value["__loader__"] == "JsonNode" else value["__id__"]
            copy["__id__"] = numbers.setdefault(name, len(numbers) + 1)
        if "__loader__" in value and isinstance(value.get("file"), str):
            suffix = re.sub(r"^[^.]*", "", value["file"])
            copy["file"] = file_names.setdefault(value["file"], f"{len(file_names) + 1}{suffix}")
        return copy

    canonical = json.dumps(rename(schema), separators=(",", ":"))
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_STORED) as target:
        for old, new in file_names.items():
            target.writestr(zipfile.ZipInfo(new, TIMESTAMP), _clear_padding(source.read(old)))
        target.writestr(zipfile.ZipInfo(SCHEMA, TIMESTAMP), canonical)
        _write_code(target, source_code.iterate_modules(schema))


def _write_code(target: zipfile.ZipFile, modules: Iterable[str]) -> None:
    """Write the source of those modules that are ours; `load` never reads it."""
    code = source_code.collect(sorted({name for name in modules if source_code.is_ours(name)}))
    for name, text in source_code.to_files(code.modules).items():
        target.writestr(zipfile.ZipInfo(name, TIMESTAMP), text)


def list_modules(path: Path) -> set[str]:
    """List the modules of the types that an artifact holds."""
    with zipfile.ZipFile(path) as source:
        return set(source_code.iterate_modules(json.loads(source.read(SCHEMA))))


def is_code(entry: str) -> bool:
    """Return whether an artifact's entry is source code."""
    return entry.startswith(f"{source_code.PACKAGE}/")


def lacks_code(path: Path) -> bool:
    """Return whether an artifact holds types of ours and not their source, because an earlier release wrote it."""
    with zipfile.ZipFile(path) as source:
        carries_code = any(is_code(entry) for entry in source.namelist())
    return not carries_code and any(source_code.is_ours(name) for name in list_modules(path))


def copy_with_code(path: Path, target: Path) -> None:
    """Copy an artifact, and add the source of our own types to the copy."""
    shutil.copyfile(path, target)
    with zipfile.ZipFile(target, "a", compression=zipfile.ZIP_STORED) as file:
        _write_code(file, list_modules(path))


def _clear_padding(array: bytes) -> bytes:
    """Clear the padding between the fields of a tree's nodes, which has whatever was in memory before."""
    if b"{'descr': [" not in array[:64]:
        return array
    source = io.BytesIO(array)
    np.lib.format.read_magic(source)
    _, _, dtype = np.lib.format.read_array_header_1_0(source)
    padding = np.ones(dtype.itemsize, dtype=bool)
    for field_dtype, start, *_ in (dtype.fields or {}).values():
        padding[start : start + field_dtype.itemsize] = False
    header, body = array[: source.tell()], np.frombuffer(array, dtype=np.uint8, offset=source.tell())
    return header + np.where(padding, np.uint8(0), body.reshape(-1, dtype.itemsize)).tobytes()
