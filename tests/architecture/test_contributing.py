"""CONTRIBUTING.md is true: its steps are done here, in a copy of the checkout, and what they make works.

The copy is used as the product is: its API answers the request, its worker's own registry has the body.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.unit.deploy import images

ROOT = pathlib.Path(__file__).parents[2]
BLOCK = re.compile(
    r"^( *)```\w+ title=\"([^\"]+)\"(?: (after|before|replace|at)=\"((?:[^\"\\]|\\.)*)\")?\n(.*?)^ *```$", re.M | re.S
)
FOLDERS = ("api", "workers", "sweeper", "shared", "migrations", "deploy", "docs")

POST = """
import json, sys
from api.app import create_app
from api.intake.keys import Keys
from shared import database, kinds
from workers import app, bodies

path, body = sys.argv[1], json.loads(sys.argv[2])
key = Keys(database.of_process()).create("contributor", scopes=["admin"])
client = create_app().test_client()
client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
accepted = client.post(path, json=body)
assert accepted.status_code == 202, accepted.text
kind = kinds.by_name()[accepted.json["kind"]]
app.register(kind.role)
bodies.perform(accepted.json["id"], kind=kind)
print(client.get(accepted.headers["Location"]).text)
"""


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a copy of the checkout."""
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
    for _indent, title, how, place, body in blocks:
        path = checkout / title
        code = textwrap.dedent(body)
        if how:
            path.write_text(insert(path.read_text(), code, how=how, place=place.replace('\\"', '"')))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)


def insert(text: str, code: str, *, how: str, place: str) -> str:
    """Put code behind, before or in place of the only line that holds a text, at that line's depth, or at the end."""
    if how == "at":
        assert place == "end"
        return text + code
    lines = text.splitlines()
    [number] = [number for number, line in enumerate(lines) if place in line]
    depth = len(lines[number]) - len(lines[number].lstrip())
    if how == "after" and lines[number].endswith(("(", "{", "[")):
        depth += 4
    new = textwrap.indent(code.rstrip("\n"), " " * depth).splitlines()
    start, stop = {"after": (number + 1, number + 1), "before": (number, number), "replace": (number, number + 1)}[how]
    return "\n".join([*lines[:start], *new, *lines[stop:], ""])


def run(checkout: pathlib.Path, *arguments: str) -> str:
    """Run Python in the copy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
    settings = {
        "MILLRACE_HOME": str(checkout / "var"),
        "MILLRACE_BROKER_URL": "memory://",
        "MILLRACE_REDIS_URL": "memory://",
        "PYTHONPATH": str(checkout),
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout,
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def post(checkout: pathlib.Path, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a request to the copy's API, do the job as the copy's worker would, and read it."""
    document: dict[str, Any] = json.loads(run(checkout, "-c", POST, path, json.dumps(body)).splitlines()[-1])
    return document


def test_a_job_kind_can_be_added_as_contributing_says(checkout: pathlib.Path) -> None:
    follow("How to add a job kind", checkout)
    run(checkout, "-m", "migrations", "upgrade", "all")
    run(checkout, "-c", MAKE_DATASET)
    order = {"kind": "evaluation.count", "params": {"dataset": "fruit@latest", "column": "colour"}}
    job = post(checkout, "/v1/jobs", order)
    assert (job["state"], job["result"]) == ("succeeded", {"rows": 2})
    order["params"] = {"dataset": "fruit@latest", "column": "taste"}
    failed = post(checkout, "/v1/jobs", order)
    assert failed["error"] == {"type": "BadDataError", "message": "there is no column 'taste'; these are: name, colour"}


MAKE_DATASET = """
import pandas as pd
from shared import contract, database, settings
from shared.catalog import datasets
from shared.ml import frames
from shared.objects import opening

store = opening.open_store(settings.load())
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


def test_a_kind_has_one_body_and_a_worker_starts_with_all_of_its_own_only(checkout: pathlib.Path) -> None:
    follow("How to add a job kind", checkout)
    tasks = checkout / "workers" / "evaluation" / "tasks.py"
    tasks.write_text(tasks.read_text().replace("@bodies.job(COUNT)", "@bodies.job(SCORE)"))
    said = run(checkout, "-c", REGISTER.format(error="ValueError"))
    assert "evaluation.score has a body already: workers.evaluation.tasks.score" in said
    tasks.write_text(tasks.read_text().replace("@bodies.job(SCORE)\ndef count", "def count"))
    said = run(checkout, "-c", REGISTER.format(error="LookupError"))
    assert "no function is registered as the body of evaluation.count" in said


REGISTER = """
from workers import app

try:
    app.register("evaluation")
except {error} as refused:
    print(refused)
"""


def test_a_role_can_be_added_as_contributing_says(checkout: pathlib.Path) -> None:
    for folder in ("api", "workers", "shared", "migrations"):
        (checkout / folder / "reporting").mkdir()
        (checkout / folder / "reporting" / "__init__.py").touch()
    follow("How to add a role", checkout)
    run(checkout, "-m", "migrations", "revision", "reporting", "--message", "first")
    run(checkout, "-m", "migrations", "upgrade", "all")
    run(checkout, "-m", "migrations", "check", "reporting")
    job = post(checkout, "/v1/reports", {"about": "plums"})
    assert (job["state"], job["result"]) == ("succeeded", {"line": "This is about plums."})
    assert (checkout / "migrations" / "reporting" / "0001_first.py").is_file()
    assert "reporting:" in (checkout / "Procfile").read_text()
    for target, extra, module in (
        ("api", "api", "api.app"),
        ("migrations", "migrations", "migrations.__main__"),
        ("worker", "reporting", "workers.reporting.tasks"),
    ):
        image = checkout.parent / f"image-{extra}"
        images.copy_code(target, extra, into=image, root=checkout)
        run(image, "-c", f"import {module}, shared.reporting.tables")
