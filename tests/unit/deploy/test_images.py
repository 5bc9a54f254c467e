"""deploy/Dockerfile: each image holds its own code, all of what it needs, and runs as nobody in particular."""

import ast
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shared import roles
from tests.unit.deploy import images

_TARGETS = ["api", "migrations", "sweeper", "flower", "worker"]
_PROGRAMS = [
    ("api", "api", "api.cli, api.app"),
    ("migrations", "migrations", "migrations.__main__"),
    ("sweeper", "sweeper", "shared.sweeper"),
    ("flower", "flower", "shared.flower"),
]


@pytest.mark.parametrize("target", _TARGETS)
def test_no_image_runs_as_root(target: str) -> None:
    users = [each for each in images.stages()[target] if each.startswith("USER ")]
    assert users == ["USER millrace"]


@pytest.mark.parametrize(("target", "extra", "modules"), _PROGRAMS)
def test_an_image_holds_all_the_code_that_its_program_needs(
    target: str, extra: str, modules: str, tmp_path: pathlib.Path
) -> None:
    images.copy_code(target, extra, into=tmp_path)
    argv = [sys.executable, "-W", "error", "-c", f"import {modules}"]
    done = subprocess.run(argv, cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_workers_image_holds_every_module_of_ours_that_it_reaches(role: str, tmp_path: pathlib.Path) -> None:
    images.copy_code("worker", role, into=tmp_path)
    waiting = [*(tmp_path / "workers").rglob("*.py"), *(tmp_path / "shared" / role).rglob("*.py")]
    reached = set(waiting)
    while waiting:
        importer = waiting.pop()
        for name in _modules_of_ours(ast.parse(importer.read_text())):
            found = _files_of(tmp_path, name)
            assert found, f"{importer.relative_to(tmp_path)} imports {name}, which the image does not hold"
            waiting += found - reached
            reached |= found
    assert tmp_path / "shared" / "settings.py" in reached


def _modules_of_ours(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in {"api", "migrations", "shared", "workers"})


def _files_of(folder: pathlib.Path, name: str) -> set[pathlib.Path]:
    # The last part may be a name inside a module, such as a class.
    path = folder.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"), path.parent.with_suffix(".py"))
    return {each for each in candidates if each.exists()}


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_workers_image_has_no_other_roles_code(role: str, tmp_path: pathlib.Path) -> None:
    images.copy_code("worker", role, into=tmp_path)
    rooms = {path.name for path in tmp_path.glob("*/*") if path.is_dir()}
    assert rooms == {role, "ml"}


@pytest.mark.parametrize("target", ["api", "migrations"])
def test_what_serves_all_roles_has_the_contract_of_each_and_no_ml(target: str, tmp_path: pathlib.Path) -> None:
    images.copy_code(target, target, into=tmp_path)
    assert {path.name for path in (tmp_path / "shared").iterdir() if path.is_dir()} == set(roles.ROLES)
    assert {path.name for path in tmp_path.iterdir()} == {"shared", target}


def test_a_build_is_sent_only_what_an_image_may_hold() -> None:
    lines = (images.CHECKOUT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {
        "!api", "!migrations", "!requirements", "!shared", "!workers",
    }  # fmt: skip
