"""Finds the source of our own modules that a stored model needs, so that it can be loaded where Millrace is not."""

import ast
import dataclasses
import functools
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

PACKAGE = "shared"


@dataclasses.dataclass(frozen=True)
class SourceCode:
    """The sources of modules by their names, and the top-level third-party modules that they import."""

    modules: dict[str, str]
    imports: frozenset[str]


def is_ours(module: str) -> bool:
    """Return whether a module is our own."""
    return module.partition(".")[0] == PACKAGE


def iterate_modules(schema: Any) -> Iterator[str]:
    """Iterate over the modules of the types that a stored model's schema names."""
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            pending.extend(node.values())
            if isinstance(node.get("__module__"), str):
                yield node["__module__"]


def collect(modules: Iterable[str]) -> SourceCode:
    """Collect the sources of modules, and of all of our modules that they import."""
    sources: dict[str, str] = {}
    external: set[str] = set()
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name in sources:
            continue
        sources[name] = _file_of(name).read_text()
        for imported in _list_imports(name):
            if is_ours(imported):
                pending.append(imported)
            elif imported.partition(".")[0] not in sys.stdlib_module_names:
                external.add(imported.partition(".")[0])
    return SourceCode(sources, frozenset(external))


def to_files(sources: dict[str, str]) -> dict[str, str]:
    """Convert modules to files by their paths, with an empty `__init__.py` in each folder, in order."""
    files = {f"{name.replace('.', '/')}.py": text for name, text in sources.items()}
    return dict(sorted((add_packages(files) | files).items()))


def add_packages(files: Iterable[str]) -> dict[str, str]:
    """Make the empty `__init__.py` of each folder of these files; those of our own folders are empty too."""
    folders = {folder.as_posix() for path in files for folder in PurePosixPath(path).parents} - {"."}
    return {f"{folder}/__init__.py": "" for folder in folders}


def _file_of(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the code of {name} is not in this image")
    return Path(spec.origin)


@functools.cache
def _list_imports(name: str) -> frozenset[str]:
    """List the modules that a module imports, also inside functions; packages' `__init__.py` files are empty here."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(_file_of(name).read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules |= {_resolve_import(node.module, alias.name) for alias in node.names}
    return frozenset(modules)


def _resolve_import(module: str, name: str) -> str:
    """Return the module that `from module import name` loads: a submodule, or the module that has the name."""
    if not is_ours(module):
        return module
    submodule = f"{module}.{name}"
    is_package = (_file_of(module).name == "__init__.py") if importlib.util.find_spec(module) else False
    return submodule if is_package and importlib.util.find_spec(submodule) else module
