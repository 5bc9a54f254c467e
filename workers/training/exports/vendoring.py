"""Copies the code that a stored model needs into a package of its own, so that it loads without Millrace."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import re
from collections.abc import Iterable, Mapping

from shared.ml import source_code

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


def rename_package(text: str, package: str) -> str:
    """Replace our package's name in code or in a module name by a copied package's."""
    return _OURS.sub(package, text)


def copy_code(modules: Iterable[str]) -> CopiedCode:
    """Copy the loader, these modules of ours, and all of our modules that they import."""
    code = source_code.collect([LOADER, *modules])
    digest = hashlib.sha256("".join(text for _, text in sorted(code.modules.items())).encode()).hexdigest()
    package = f"millrace_{digest[:12]}"
    files = {_path_of(name, package): rename_package(text, package) for name, text in code.modules.items()}
    return CopiedCode(package, source_code.add_packages(files) | files, code.imports)


def pin_requirements(modules: Iterable[str], *, trained_with: Mapping[str, str]) -> list[str]:
    """Pin the modules' distributions to the versions that the model was trained with, or else to those installed."""
    names = {name for module in modules for name in _distributions().get(module, [])} | {"skops"}
    return sorted(f"{name}=={trained_with.get(name) or importlib.metadata.version(name)}" for name in names)


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _path_of(name: str, package: str) -> str:
    if name == LOADER:
        return f"{package}/loader.py"
    return f"{package}{name.removeprefix('shared').replace('.', '/')}.py"
