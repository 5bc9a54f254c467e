"""CONTRIBUTING.md is true: its steps are done here, in a copy of the checkout, and what they make works."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```\w+ title=\"([^\"]+)\"(?: after=\"((?:[^\"\\]|\\.)*)\")?\n(.*?)^ *```$", re.M | re.S)
FOLDERS = ("api", "workers", "shared", "migrations")

RUN = """
import json, sys
from shared import database, dispatch, kinds, pins, ringer, runtime, settings, stores, job_views
import importlib

name, params = sys.argv[1], json.loads(sys.argv[2])
kind = kinds.known()[name]
registered = {}
runtime.job = lambda registering: lambda body: registered.setdefault(registering.name, body)
importlib.import_module(f"workers.{kind.role}.tasks")
config, databases = settings.load(), database.of_process()
pinner = pins.Pinner(databases, stores.open_store(config))


class Silent:
    def ring(self, bells):
        pass


door = dispatch.Dispatcher(config, databases=databases, pinner=pinner, bell=Silent())
order = dispatch.Order(kind=kind, command=kind.command.model_validate(params))
job = door.submit(order, client=dispatch.Client(tenant_id="default", key_id="test")).document
runtime.perform(kind, registered[name], job["id"], owner="test")
row = job_views.show(databases[kind.role].reader, job["id"], tenant_id="default")
print(json.dumps(job_views.document(row)))
"""


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    """Give a copy of the checkout."""
    copy = tmp_path / "checkout"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "Procfile"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def follow(section: str, checkout: pathlib.Path) -> None:
    """Do what the blocks of a section say."""
    text = (ROOT / "CONTRIBUTING.md").read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    blocks = BLOCK.findall(text)
    assert blocks, "the section has steps"
    for _indent, title, after, body in blocks:
        path = checkout / title
        code = textwrap.dedent(body)
        if after:
            path.write_text(insert(path.read_text(), code, after=after.replace('\\"', '"')))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)


def insert(text: str, code: str, *, after: str) -> str:
    """Put code behind the only line that holds a text, at that line's depth or the one that the code has."""
    lines = text.splitlines()
    (place,) = [number for number, line in enumerate(lines) if after in line]
    depth = len(lines[place]) - len(lines[place].lstrip())
    if lines[place].endswith("("):
        depth += 4
    return "\n".join([*lines[: place + 1], textwrap.indent(code.rstrip("\n"), " " * depth), *lines[place + 1 :], ""])


def run(checkout: pathlib.Path, *arguments: str) -> str:
    """Run Python in the copy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout,
        env={**environment, "MILLRACE_HOME": str(checkout / "var"), "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def do(checkout: pathlib.Path, kind: str, **params: object) -> dict[str, object]:
    """Do a job in the copy, and give its document."""
    lines = run(checkout, "-c", RUN, kind, json.dumps(params)).splitlines()
    document: dict[str, object] = json.loads(lines[-1])
    return document


def test_a_job_kind_can_be_added_as_contributing_says(checkout: pathlib.Path) -> None:
    follow("How to add a job kind", checkout)
    run(checkout, "-m", "migrations", "upgrade", "all")
    run(checkout, "-c", MAKE_DATASET)
    job = do(checkout, "evaluation.count", dataset="fruit@latest", column="colour")
    assert (job["state"], job["result"]) == ("succeeded", {"rows": 2})
    failed = do(checkout, "evaluation.count", dataset="fruit@latest", column="taste")
    assert failed["error"] == {"type": "BadDataError", "message": "there is no column 'taste'; these are: name, colour"}


MAKE_DATASET = """
import pandas as pd
from shared import contract, database, datasets, settings, stores
from shared.ml import frames

store = stores.open_store(settings.load())
output = store.stage("default/test/data.parquet")
columns = [contract.Column(name="name", type="string"), contract.Column(name="colour", type="string")]
with frames.FrameWriter(output.path, columns=columns) as writer:
    writer.write(pd.DataFrame({"name": ["plum", "pear", "fig"], "colour": ["blue", None, "green"]}))
store.publish(output)
with database.of_process()["ingestion"].transactions.begin() as connection:
    datasets.add(connection, datasets.NewVersion(
        tenant_id="default", name="fruit", job_id="x", created_by="test", key=output.key, sha256=writer.sha256,
        bytes=writer.bytes, rows=writer.rows, columns=columns))
"""


def test_a_role_can_be_added_as_contributing_says(checkout: pathlib.Path) -> None:
    for folder in FOLDERS:
        (checkout / folder / "reporting").mkdir()
        (checkout / folder / "reporting" / "__init__.py").touch()
    follow("How to add a role", checkout)
    run(checkout, "-m", "migrations", "revision", "reporting", "--message", "first")
    run(checkout, "-m", "migrations", "upgrade", "all")
    run(checkout, "-m", "migrations", "check", "reporting")
    job = do(checkout, "reporting.write", about="plums")
    assert (job["state"], job["result"]) == ("succeeded", {"line": "This is about plums."})
    routes = run(checkout, "-c", "from api.app import create_app; print(create_app().url_map)")
    assert "/v1/reports" in routes
    assert (checkout / "migrations" / "reporting" / "0001_first.py").is_file()
    assert "reporting:" in (checkout / "Procfile").read_text()
