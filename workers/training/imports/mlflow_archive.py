"""Finds the model in a folder that MLflow wrote, packed as a zip or tar; nothing of it but that one file is used.

docs/decisions/imports.md, "Of an MLflow folder only a standard model is read".
"""

import dataclasses
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import yaml

from shared import contract, errors
from shared.training import imports
from workers.training.imports import formats

MAX_ENTRIES = 10_000
MAX_DESCRIPTION_BYTES = 1 << 20
MAX_MODEL_BYTES = 1 << 29
_CHUNK_BYTES = 1 << 20
FLAVORS: dict[str, tuple[imports.Format, str]] = {
    "onnx": ("onnx", "mlflow.onnx"),
    "lightgbm": ("lightgbm", "mlflow.lightgbm"),
    "xgboost": ("xgboost", "mlflow.xgboost"),
}
"""By their names: the format of what they hold, and the module by which MLflow would load it as a Python function."""
_COLUMN_TYPES: Mapping[str, contract.ColumnType] = {
    "boolean": "boolean",
    "integer": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "string": "string",
    "datetime": "timestamp",
}


@dataclasses.dataclass(frozen=True)
class Found:
    """The model of a folder: its format, its file, unpacked, and the columns and the run that MLmodel tells of."""

    format: imports.Format
    path: Path
    columns: list[imports.ImportedColumn] | None
    run: str | None


def unpack(path: Path, *, scratch: Path) -> Found:
    """Unpack the model's file; BadModelError when the folder holds none that is imported, and why."""
    with _open(path) as archive:
        description_name = _find_description(archive)
        description = _parse(archive.read(description_name, most=MAX_DESCRIPTION_BYTES))
        format_, data = _choose_flavor(description)
        folder = PurePosixPath(description_name).parent
        name = _locate(archive, str(folder / data), format_)
        target = _extract(archive, name, scratch / "folder", with_others=format_ == "onnx")
    run = description.get("run_id")
    return Found(format_, target, _read_columns(description), run if isinstance(run, str) else None)


def _extract(archive: "_Archive", name: str, folder: Path, *, with_others: bool) -> Path:
    """Write a file of the archive into a folder, on request with those beside it; return its path."""
    folder.mkdir()
    beside = PurePosixPath(name).parent
    others = [each for each in archive.sizes if with_others and PurePosixPath(each).parent == beside]
    left = MAX_MODEL_BYTES
    for each in dict.fromkeys([name, *others]):
        target = folder / PurePosixPath(each).name
        if not target.exists():
            archive.extract(each, target, most=left)
            left -= target.stat().st_size
    return folder / PurePosixPath(name).name


class _Archive:
    """The files of a zip or tar, by their names; folders, links and devices are none."""

    def __init__(self, sizes: Mapping[str, int], source: Any) -> None:
        self.sizes = sizes
        self._source = source

    def read(self, name: str, *, most: int) -> bytes:
        """Read a small file; BadModelError when it has more bytes than that."""
        self._require_small(name, most)
        with self._open(name) as file:
            return file.read(most)

    def extract(self, name: str, target: Path, *, most: int) -> None:
        """Write a file's bytes; BadModelError when there are more than that, whatever the archive says."""
        self._require_small(name, most)
        size = 0
        with self._open(name) as file, target.open("wb") as written:
            while chunk := file.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > most:
                    raise errors.BadModelError(f"{name[:100]!r} has more than {most:,} bytes")
                written.write(chunk)

    def _require_small(self, name: str, most: int) -> None:
        if self.sizes[name] > most:
            raise errors.BadModelError(f"{name[:100]!r} has {self.sizes[name]:,} bytes; at most {most:,} are read")

    def _open(self, name: str) -> IO[bytes]:
        if isinstance(self._source, zipfile.ZipFile):
            return self._source.open(name)
        file: IO[bytes] = self._source.extractfile(name)
        return file


@contextmanager
def _open(path: Path) -> Iterator[_Archive]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                entries = packed.infolist()
                _require_few(len(entries))
                yield _Archive({entry.filename: entry.file_size for entry in entries if not entry.is_dir()}, packed)
        else:
            with tarfile.open(path) as tar:
                sizes = {}
                for count, member in enumerate(tar):
                    _require_few(count)
                    if member.isfile():
                        sizes[member.name] = member.size
                yield _Archive(sizes, tar)
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, EOFError, RuntimeError, OSError) as error:
        raise errors.BadModelError(f"the archive can't be read: {error}") from error


def _require_few(count: int) -> None:
    if count > MAX_ENTRIES:
        raise errors.BadModelError(f"the archive has more than {MAX_ENTRIES:,} entries")


def _find_description(archive: _Archive) -> str:
    found = sorted((name for name in archive.sizes if PurePosixPath(name).name == "MLmodel"), key=len)
    if not found:
        pickled = next((name for name in archive.sizes if formats.is_pickled(name)), None)
        if pickled is not None:
            raise errors.BadModelError(f"the archive holds a pickle, {pickled[:100]!r}, {formats.CODE}")
        raise errors.BadModelError(f"the archive has no MLmodel, so it is no folder of MLflow; {formats.ADVICE}")
    return found[0]


def _parse(text: bytes) -> dict[str, Any]:
    try:
        description = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise errors.BadModelError(f"MLmodel can't be read: {' '.join(f'{error}'.split())[:300]}") from error
    if not isinstance(description, dict) or not isinstance(description.get("flavors"), dict):
        raise errors.BadModelError("MLmodel names no flavors")
    return description


def _choose_flavor(description: dict[str, Any]) -> tuple[imports.Format, str]:
    """Choose the flavor that is a standard model; its format, and its file."""
    flavors = description["flavors"]
    for name, (format_, module) in FLAVORS.items():
        flavor = flavors.get(name)
        if isinstance(flavor, dict):
            function = flavors.get("python_function")
            loader = function.get("loader_module") if isinstance(function, dict) else module
            if loader != module:
                raise errors.BadModelError(
                    f"MLflow would load this model by {str(loader)[:100]!r}, which is code around it, and no code is "
                    f"run here; save it by {module}.save_model"
                )
            data = flavor.get("data")
            return format_, data if isinstance(data, str) else "model." + ("lgb" if name == "lightgbm" else name)
    present = ", ".join(sorted(map(str, flavors)))[:300]
    raise errors.BadModelError(
        f"the folder has the flavors {present}, which MLflow loads by running code (a pickle or a Python function), so "
        f"Millrace never does; save the model by mlflow.onnx, mlflow.lightgbm or mlflow.xgboost"
    )


def _locate(archive: _Archive, name: str, format_: imports.Format) -> str:
    """Locate the file of a flavor; a folder that holds an ONNX model is none, since its data is in other files."""
    name = name.removeprefix("./")
    known = {str(PurePosixPath(each)): each for each in archive.sizes}
    if formats.is_pickled(name):
        raise errors.BadModelError(f"the folder holds the model as a pickle, {name[:100]!r}, {formats.CODE}")
    if name not in known:
        inside = [each for each in known if each.startswith(f"{name}/")]
        reason = "holds it in several files" if inside else "doesn't hold"
        raise errors.BadModelError(f"the folder {reason}: the {format_} model {name[:100]!r}")
    return known[name]


def _read_columns(description: dict[str, Any]) -> list[imports.ImportedColumn] | None:
    """Read the names and types of the columns, where the signature has them and not only a tensor's shape."""
    signature = description.get("signature")
    try:
        inputs = json.loads(signature["inputs"]) if isinstance(signature, dict) else None
        if not isinstance(inputs, list) or not all(isinstance(each.get("name"), str) for each in inputs):
            return None
        if any(each.get("type") == "tensor" for each in inputs):
            return None
        return [
            imports.ImportedColumn(name=each["name"], type=_COLUMN_TYPES.get(str(each.get("type")))) for each in inputs
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
