"""deploy/Dockerfile: each image holds its own code, all of what it needs and no more, and runs without rights."""

import ast
import dataclasses
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shared import roles
from tests.unit.deploy import images

pytestmark = pytest.mark.slow

_EVERY_WORKER = {"shared", "shared/catalog", "shared/jobs", "shared/objects", "shared/queues", "workers"}


@dataclasses.dataclass(frozen=True)
class Image:
    """What an image is made of, and what it may hold."""

    target: str
    extra: str
    folders: set[str]
    """The folders with code that it may hold: packages, and the roles and subjects inside them."""
    starts: tuple[str, ...]
    """Globs of the files from which its program begins: what is run, and what is found by name."""


def _worker(role: str, target: str = "worker-models", *more: str) -> Image:
    own = {f"shared/{role}", f"workers/{role}"}
    starts = ("workers/*.py", f"workers/{role}/**/*.py", f"shared/{role}/contract.py", f"shared/{role}/tables.py")
    # What stored models are made of is found by name when they are loaded, and the whole folder is copied for it.
    models = ("shared/ml/**/*.py",) if target in ("worker-models", "worker-features") else ()
    return Image(target, role, _EVERY_WORKER | own | set(more), starts + models)


_ROLES = {f"shared/{role}" for role in roles.ROLES}
_MODELS = ("worker-models", "shared/ml", "shared/figures", "shared/recipe")
IMAGES = {
    "api": Image(
        "api",
        "api",
        _ROLES
        | {
            "shared",
            "shared/catalog",
            "shared/events",
            "shared/webhooks",
            "shared/jobs",
            "shared/objects",
            "shared/queues",
            "shared/figures",
            "shared/outbound",
            "shared/recipe",
        }
        | {"api", "api/events", "api/front", "api/intake", "api/reads", "api/webhooks"}
        | {f"api/{role}" for role in roles.ROLES},
        ("api/**/*.py", *(f"shared/{role}/{file}.py" for role in roles.ROLES for file in ("contract", "tables"))),
    ),
    "migrations": Image(
        "migrations",
        "migrations",
        _ROLES
        | {"shared", "shared/catalog", "shared/jobs", "migrations"}
        | {f"migrations/{store}" for store in roles.STORES},
        ("migrations/**/*.py", "shared/catalog/api_tables.py", *(f"shared/{role}/tables.py" for role in roles.ROLES)),
    ),
    "sweeper": Image(
        "sweeper",
        "sweeper",
        {f"shared/{name}" for name in ("catalog", "events", "jobs", "objects", "outbound", "queues", "webhooks")}
        | {f"shared/{role}" for role in ("orchestration", "prediction", "processing", "training")}
        | {"shared", "sweeper", "sweeper/webhooks"},
        ("sweeper/*.py", "shared/queues/logins.py"),
    ),
    "flower": Image("flower", "flower", {"shared", "shared/jobs", "shared/queues"}, ("shared/queues/flower.py",)),
    "ingestion": _worker("ingestion", "worker-tables", "shared/ml", "shared/outbound", "workers/tabular"),
    "processing": _worker("processing", "worker-features", *_MODELS[1:], "workers/tabular"),
    "training": _worker("training", *_MODELS),
    "evaluation": _worker("evaluation", *_MODELS),
    "prediction": _worker("prediction", *_MODELS),
    "inference": dataclasses.replace(_worker("prediction", *_MODELS), target="inference"),
    "storage": _worker("storage", "worker"),
    "orchestration": _worker("orchestration", "worker"),
}
_PROGRAMS = {
    "api": "api.cli, api.app, api.front.application",
    "migrations": "migrations.__main__",
    "sweeper": "sweeper.__main__",
    "flower": "shared.queues.flower",
}


@pytest.mark.parametrize("target", sorted({image.target for image in IMAGES.values()}))
def test_no_image_runs_as_root(target: str) -> None:
    users = [each for each in images.stages()[target] if each.startswith("USER ")]
    assert users[-1] == "USER millrace"


@pytest.mark.parametrize("name", _PROGRAMS)
def test_an_image_holds_all_the_code_that_its_program_needs(name: str, tmp_path: pathlib.Path) -> None:
    images.copy_code(IMAGES[name].target, IMAGES[name].extra, into=tmp_path)
    argv = [sys.executable, "-W", "error", "-c", f"import {_PROGRAMS[name]}"]
    done = subprocess.run(argv, cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_holds_what_its_code_imports_and_no_folder_more(name: str, tmp_path: pathlib.Path) -> None:
    image = IMAGES[name]
    images.copy_code(image.target, image.extra, into=tmp_path)
    assert _folders(tmp_path, tmp_path.rglob("*.py")) == image.folders
    reached = _reached(tmp_path, [path for start in image.starts for path in tmp_path.glob(start)])
    assert _folders(tmp_path, reached) == image.folders, "a folder of which nothing is imported"


def _folders(root: pathlib.Path, files: Iterator[pathlib.Path] | set[pathlib.Path]) -> set[str]:
    return {"/".join(path.parent.relative_to(root).parts[:2]) for path in files}


def _reached(root: pathlib.Path, starts: list[pathlib.Path]) -> set[pathlib.Path]:
    """Follow the imports of our own modules; fails where one is not held."""
    waiting, reached = list(starts), set(starts)
    while waiting:
        importer = waiting.pop()
        for name in _modules_of_ours(ast.parse(importer.read_text())):
            found = _files_of(root, name)
            assert found, f"{importer.relative_to(root)} imports {name}, which the image does not hold"
            waiting += found - reached
            reached |= found
    return reached


def _modules_of_ours(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (
            name for name in names if name.split(".")[0] in {"api", "migrations", "shared", "sweeper", "workers"}
        )


def _files_of(folder: pathlib.Path, name: str) -> set[pathlib.Path]:
    # The last part may be a name inside a module, such as a class.
    path = folder.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"), path.parent.with_suffix(".py"))
    return {each for each in candidates if each.exists()}


def test_a_build_is_sent_only_what_an_image_may_hold() -> None:
    lines = (images.CHECKOUT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {
        "!api", "!migrations", "!requirements", "!shared", "!sweeper", "!workers",
    }  # fmt: skip
