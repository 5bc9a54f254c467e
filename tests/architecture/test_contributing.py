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
import threading
from typing import Any

import pytest

from tests.unit.deploy import images

ROOT = pathlib.Path(__file__).parents[2]
BLOCK = re.compile(
    r"^( *)```\w+ title=\"([^\"]+)\"(?: (after|before|replace|at)=\"((?:[^\"\\]|\\.)*)\")?\n(.*?)^ *```$", re.M | re.S
)
Request = tuple[str, str, dict[str, Any]]
"""The method, the path, and what Flask's client takes beside them."""
FOLDERS = ("api", "workers", "sweeper", "shared", "migrations", "deploy", "docs")

SESSION = """
import json, sys
from api.app import create_app
from api.intake.keys import Keys
from migrations import command_line
from shared import database, kinds
from workers import app, bodies

assert not command_line.main(["upgrade", "all"])
key = Keys(database.of_process()).create("contributor", scopes=["admin"])
client = create_app().test_client()
client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
answers = []
for method, path, options in json.load(sys.stdin):
    answer = client.open(path, method=method, **options)
    if answer.status_code == 202 and sys.argv[1] == "work":
        kind = kinds.by_name()[answer.json["kind"]]
        app.register(kind.role)
        bodies.perform(answer.json["id"], kind=kind)
        answer = client.get(answer.headers["Location"])
    answers.append(answer.json)
print(json.dumps(answers))
"""
"""Sends requests to the copy's API, and does each accepted job as the copy's worker would, if told to work."""


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
    new = textwrap.indent(code, " " * depth).splitlines()
    start, stop = {"after": (number + 1, number + 1), "before": (number, number), "replace": (number, number + 1)}[how]
    return "\n".join([*lines[:start], *new, *lines[stop:], ""])


def run(checkout: pathlib.Path, *arguments: str, stdin: str = "") -> str:
    """Run Python in the copy."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout,
        env=environment_of(checkout),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def environment_of(checkout: pathlib.Path) -> dict[str, str]:
    """Return the environment of a program in the copy, with a home and a broker of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
    settings = {
        "MILLRACE_HOME": str(checkout / "var"),
        "MILLRACE_BROKER_URL": "memory://",
        "MILLRACE_REDIS_URL": "memory://",
        "PYTHONPATH": str(checkout),
    }
    return {**environment, **settings}


def session(checkout: pathlib.Path, *requests: Request, works: bool = True) -> list[Any]:
    """Migrate the copy's databases, send requests, do the jobs if it works, and return each one's last document."""
    output = run(checkout, "-c", SESSION, "work" if works else "wait", stdin=json.dumps(requests))
    documents: list[Any] = json.loads(output.splitlines()[-1])
    return documents


def post(path: str, **body: Any) -> Request:
    """Build a request with a JSON body."""
    return "POST", path, {"json": body}


def upload(name: str, csv: str) -> Request:
    """Build a request that loads a dataset from CSV."""
    return "POST", f"/v1/datasets/{name}", {"data": csv, "headers": {"Content-Type": "text/csv"}}


def require_success(*jobs: dict[str, Any]) -> None:
    """Fail, showing them, unless all these jobs succeeded."""
    assert [job for job in jobs if job.get("state") != "succeeded"] == []


FRUIT = upload("fruit", "name,colour\nplum,blue\npear,\nfig,green\n")


def test_a_job_kind_can_be_added_as_contributing_says(checkout: pathlib.Path) -> None:
    follow("How to add a job kind", checkout)
    orders = [
        post("/v1/jobs", kind="evaluation.count", params={"dataset": "fruit@latest", "column": column})
        for column in ("colour", "taste")
    ]
    _, counted, failed = session(checkout, FRUIT, *orders)
    assert (counted["state"], counted["result"]) == ("succeeded", {"rows": 2})
    assert failed["error"] == {"type": "BadDataError", "message": "there is no column 'taste'; these are: name, colour"}


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
    [job] = session(checkout, post("/v1/reports", about="plums"))
    run(checkout, "-m", "migrations", "check", "reporting")
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


BASKETS = upload(
    "baskets",
    "size,fruit,bread,milk,price\n"
    + "".join(f"{2 * n},{n % 7 + 1},{n % 5 + 1},{n % 3 + 1},{6 * n + 1 if n % 20 else 9999}\n" for n in range(60)),
)
"""The price follows from the size, but for a few that are far off."""


def test_a_recipe_step_can_be_added_as_contributing_says(checkout: pathlib.Path) -> None:
    follow("How to add a recipe step", checkout)
    run(checkout, "-m", "shared.recipe.book")
    assert "### `normalize`" in (checkout / "docs" / "recipe.md").read_text()
    step = {"op": "normalize", "columns": ["fruit", "bread", "milk"], "norm": "l1"}
    loaded, fitted, applied, read = session(
        checkout,
        BASKETS,
        post("/v1/features/shares", dataset="baskets@latest", recipe={"steps": [step]}),
        post("/v1/features/shares/apply", dataset="baskets@latest", name="shares"),
        ("GET", "/v1/datasets/shares/versions/1/rows", {}),
    )
    require_success(loaded, fitted, applied)
    for row in read["rows"]:
        assert row["fruit"] + row["bread"] + row["milk"] == pytest.approx(1)


def test_an_estimator_can_be_added_as_contributing_says(checkout: pathlib.Path) -> None:
    follow("How to add an estimator", checkout)
    estimator = {"name": "RANSACRegressor", "params": {"min_samples": 10, "random_state": 0}}
    loaded, trained, predicted, read = session(
        checkout,
        BASKETS,
        post("/v1/models/price", dataset="baskets@latest", target="price", problem="regression", estimator=estimator),
        post("/v1/predictions", model="price@latest", dataset="baskets@latest"),
        ("GET", "/v1/datasets/price-predictions/versions/1/rows", {}),
    )
    require_success(loaded, trained, predicted)
    for row in read["rows"]:
        assert row["prediction"] == pytest.approx(3 * row["size"] + 1)


def test_a_source_can_be_added_as_contributing_says(checkout: pathlib.Path) -> None:
    follow("How to add a source", checkout)
    rows = [{"name": "plum", "weight": 30}, {"name": "fig", "weight": None}]
    loaded, read = session(
        checkout,
        post("/v1/datasets/fruit", source={"type": "inline", "rows": rows}),
        ("GET", "/v1/datasets/fruit/versions/1/rows", {}),
    )
    require_success(loaded)
    assert read["rows"] == rows


def test_a_chore_can_be_added_as_contributing_says(checkout: pathlib.Path) -> None:
    follow("How to add a chore", checkout)
    [job] = session(checkout, post("/v1/jobs", kind="training.ping", params={}), works=False)
    assert job["state"] == "queued"
    logged = log_until(checkout, "role_has_no_worker", "-m", "sweeper")
    assert {entry["role"] for entry in logged if entry["event"] == "role_has_no_worker"} == {"training"}
    linter = pathlib.Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([linter, "--no-cache"], cwd=checkout, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def log_until(checkout: pathlib.Path, event: str, *arguments: str) -> list[dict[str, Any]]:
    """Run Python in the copy until it logs an event, stop it, and return all that it has logged."""
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=checkout, env=environment_of(checkout), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        stop = threading.Timer(60, process.terminate)
        stop.start()
        logged = []
        for line in process.stderr:
            logged.append(json.loads(line))
            if logged[-1]["event"] == event:
                process.terminate()
        stop.cancel()
    assert event in [entry["event"] for entry in logged], logged
    return logged


def test_what_contributing_adds_passes_the_linter(checkout: pathlib.Path) -> None:
    for added in ("a job kind", "a recipe step", "an estimator", "a source", "a chore"):
        follow(f"How to add {added}", checkout)
    ruff = pathlib.Path(sys.executable).with_name("ruff")
    for command in (["check"], ["format", "--diff"]):
        checked = subprocess.run([ruff, *command, "--no-cache", "."], cwd=checkout, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout
