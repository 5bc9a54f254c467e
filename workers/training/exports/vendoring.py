"""Copies the code that a stored model needs into a package of its own, so that it loads without Millrace."""

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
class CopiedCode:
    """A copied package: its name, its files by their paths, and the top-level third-party modules that it imports.

    The name is derived from the code: MLflow loads the code of all models into one process, where with equal names one
    model would run another's code.
    """

    package: str
    files: dict[str, str]
    imports: frozenset[str]

    @property
    def loader(self) -> str:
        """The module that MLflow calls."""
        return f"{self.package}.loader"


def is_ours(module: str) -> bool:
    """Return whether a module is our own."""
    return module.partition(".")[0] == "shared"


def rename_package(text: str, package: str) -> str:
    """Replace our package's name in code or in a module name by a copied package's."""
    return _OURS.sub(package, text)


def copy_code(modules: Iterable[str]) -> CopiedCode:
    """Copy the loader, these modules of ours, and all of our modules that they import."""
    sources: dict[str, str] = {}
    external: set[str] = set()
    pending = [LOADER, *modules]
    while pending:
        name = pending.pop()
        if name in sources:
            continue
        sources[name] = _file_of(name).read_text()
        for imported in _list_imports(sources[name]):
            if is_ours(imported):
                pending.append(imported)
            elif imported.partition(".")[0] not in sys.stdlib_module_names:
                external.add(imported.partition(".")[0])
    digest = hashlib.sha256("".join(text for _, text in sorted(sources.items())).encode()).hexdigest()
    package = f"millrace_{digest[:12]}"
    files = {_path_of(name, package): rename_package(text, package) for name, text in sources.items()}
    folders = {folder.as_posix() for path in files for folder in PurePosixPath(path).parents} - {"."}
    return CopiedCode(package, files | {f"{folder}/__init__.py": "" for folder in folders}, frozenset(external))


def pin_requirements(modules: Iterable[str], *, trained_with: Mapping[str, str]) -> list[str]:
    """Pin the modules' distributions to the versions that the model was trained with, or else to those installed."""
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


def _list_imports(text: str) -> set[str]:
    """List the modules that a file imports, also inside functions; packages' `__init__.py` files are empty here."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules |= {_resolve_import(node.module, alias.name) for alias in node.names}
    return modules


def _resolve_import(module: str, name: str) -> str:
    """Return the module that `from module import name` loads: a submodule, or the module that has the name."""
    if not is_ours(module):
        return module
    submodule = f"{module}.{name}"
    is_package = (_file_of(module).name == "__init__.py") if importlib.util.find_spec(module) else False
    return submodule if is_package and importlib.util.find_spec(submodule) else module
