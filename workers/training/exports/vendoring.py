"""Copies the code that a stored model needs into a package of its own, so that it loads where Millrace isn't."""

import ast
import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

LOADER = "workers.training.exports.mlflow_loader"
_OURS = re.compile(r"\bshared(?=\.[a-z]| import )")


@dataclasses.dataclass(frozen=True)
class Copied:
    """A copied package: its name, its files by their paths, and the top-level modules that it imports of others.

    The name follows from the code. MLflow puts the code of all models into one process, where equal names would make
    one model run another's code.
    """

    package: str
    files: dict[str, str]
    imports: frozenset[str]

    @property
    def loader(self) -> str:
        """The module that MLflow calls."""
        return f"{self.package}.loader"


def is_ours(module: str) -> bool:
    """Tell our own modules from other people's."""
    return module.partition(".")[0] == "shared"


def rename(text: str, package: str) -> str:
    """Let code and names point to a copied package."""
    return _OURS.sub(package, text)


def copy_code(modules: Iterable[str]) -> Copied:
    """Copy the loader, some modules of ours, and all that they import of ours."""
    found: dict[str, str] = {}
    outside: set[str] = set()
    waiting = [LOADER, *modules]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _file_of(name).read_text()
        for imported in _imports(found[name]):
            if is_ours(imported):
                waiting.append(imported)
            elif imported.partition(".")[0] not in sys.stdlib_module_names:
                outside.add(imported.partition(".")[0])
    digest = hashlib.sha256("".join(text for _, text in sorted(found.items())).encode()).hexdigest()
    package = f"millrace_{digest[:12]}"
    files = {_path_of(name, package): rename(text, package) for name, text in found.items()}
    folders = {folder.as_posix() for path in files for folder in PurePosixPath(path).parents} - {"."}
    return Copied(package, files | {f"{folder}/__init__.py": "" for folder in folders}, frozenset(outside))


def requirements(modules: Iterable[str], *, trained_with: Mapping[str, str]) -> list[str]:
    """Pin the distributions of some modules to the versions that the model was trained with, or to those here."""
    names = {name for module in modules for name in _distributions().get(module, [])} | {"skops"}
    return sorted(f"{name}=={trained_with.get(name) or importlib.metadata.version(name)}" for name in names)


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _file_of(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the code of {name} is not in this image")
    return Path(spec.origin)


def _path_of(name: str, package: str) -> str:
    if name == LOADER:
        return f"{package}/loader.py"
    return f"{package}{name.removeprefix('shared').replace('.', '/')}.py"


def _imports(text: str) -> set[str]:
    """Give the modules that a file imports, also inside functions; a package's own file is empty here."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {_imported(node.module, alias.name) for alias in node.names}
    return found


def _imported(module: str, name: str) -> str:
    """Tell a module that is imported from its package from a name inside a module."""
    if not is_ours(module):
        return module
    inner = f"{module}.{name}"
    is_package = (_file_of(module).name == "__init__.py") if importlib.util.find_spec(module) else False
    return inner if is_package and importlib.util.find_spec(inner) else module
