"""Writes docs/onnx.md, for which each estimator and step is tried: `python -m workers.training.exports.book`."""

import pathlib
import re
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from shared import contract
from shared.ml import frames
from shared.ml.predictions import Problem
from shared.recipe.language import Recipe
from shared.training.estimators import allow_list
from shared.training.estimators.document import Estimator
from shared.training.setup import Setup
from workers.training import fit, libraries, models, tables
from workers.training.experiment import Experiment
from workers.training.exports import trials, verdict

PATH = pathlib.Path(__file__).parents[3] / "docs" / "onnx.md"
HEAD = """# What is exported to ONNX

`GET /v1/models/{name}/versions/{n}/export?format=onnx` makes a model for ONNX Runtime, which is compared with the model
on up to 4,000 rows of its training data and on edge cases. Labels must be equal; an export whose numbers differ by more
than 1e-3 of the answers' spread is refused, and one that differs by more than 1e-5 doesn't serve in the model's place.
The data decide, so that a model of a kind that says *yes* here can be refused and one that says *no* can pass.

This page is written by `python -m workers.training.exports.book`, which fits each of these on a small table and tries
to export it. Numbers are stored as float64 where float32 would change an answer.

Missing texts are empty ones in ONNX; whole numbers from 2^53 on are told apart by no model that is exported.
"""
ROWS = 240
PREPARED: list[dict[str, Any]] = [
    {"op": "impute", "columns": ["size"]},
    {"op": "scale", "columns": ["size", "weight"]},
    {"op": "one_hot", "columns": ["colour"]},
    {"op": "drop", "columns": ["review", "seen"]},
]
FILLED: dict[str, Any] = {"op": "impute", "columns": "all", "strategy": "constant", "value": 0}
COLUMNS = [
    contract.Column(name="size", type="number"),
    contract.Column(name="weight", type="number"),
    contract.Column(name="colour", type="string"),
    contract.Column(name="review", type="string"),
    contract.Column(name="seen", type="timestamp"),
]
WITHOUT_NEGATIVES = ("CategoricalNB", "ComplementNB", "MultinomialNB")
PARAMS: dict[str, dict[str, Any]] = {"NuSVC": {"nu": 0.1}, "QuadraticDiscriminantAnalysis": {"reg_param": 0.1}}
"""Without these they can't be fitted on the table."""
FEWER = {"n_estimators": 10}
"""What an estimator made of many others takes here, if it takes it: more of them answer no differently."""
TARGETS: dict[Problem, str | None] = {
    "classification": "sold",
    "multilabel": "labels",
    "regression": "amount",
    "quantile": "amount",
    "clustering": None,
    "anomaly": None,
}


def make_table() -> pd.DataFrame:
    """Make the table: numbers, texts and times, some of them missing, and targets that partly follow from them."""
    random = np.random.default_rng(0)
    size, weight = random.normal(size=(2, ROWS)).round(3)
    colour = random.choice(["red", "green", "blue"], size=ROWS)
    amount = 2 * size + weight + (colour == "red") + random.normal(scale=0.5, size=ROWS)
    words = random.choice(["fine", "BAD", "Straße", "so so", "très bien"], size=(ROWS, 3))
    moments = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(random.integers(0, 10**7, size=ROWS), unit="s")
    return pd.DataFrame(
        {
            "size": np.where(random.random(ROWS) < 0.1, np.nan, size),
            "weight": np.abs(weight) + 0.1,
            "colour": np.where(random.random(ROWS) < 0.1, np.asarray(None), colour.astype(object)),
            "review": [" ".join(row) for row in words],
            "seen": moments,
            "sold": np.where(amount > 0.3, "yes", "no"),
            "labels": np.where(amount > 1, "dear,big", np.where(amount > 0, "big", "dear")),
            "amount": np.abs(amount).round(3) + 0.01,
        }
    )


def try_out(name: str, problem: Problem, steps: list[dict[str, Any]], folder: pathlib.Path) -> verdict.Verdict:
    """Fit an estimator behind a recipe, and decide whether ONNX may serve it."""
    target = TARGETS[problem]
    dataset = folder / "dataset.parquet"
    make_table().drop(columns=[other for other in ("sold", "labels", "amount") if other != target]).to_parquet(
        dataset, index=False
    )
    spec = allow_list.specs()[name]
    members = ["LinearRegression", "Ridge"] if "regression" in spec.problems else ["LogisticRegression", "GaussianNB"]
    fewer = {parameter: count for parameter, count in FEWER.items() if parameter in spec.parameters}
    document: dict[str, Any] = {"name": name, "params": {**fewer, **PARAMS.get(name, {})}}
    if spec.members is not None:
        document["estimators"] = [{"name": member} for member in members]
    experiment = Experiment(
        Setup.model_validate({"dataset": "table@1", "problem": problem, "target": target}),
        frames.read_columns(dataset),
        Estimator.model_validate(document),
        Recipe.model_validate({"steps": steps}),
    )
    with libraries.limit_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = fit.prepare(tables.read_table(dataset, experiment=experiment), experiment)
        fitted = models.fit_model(prepared.model, prepared.table, experiment=experiment, threads=1)
        return verdict.decide(
            fitted,
            dataset,
            signature=fit.make_signature(prepared, experiment),
            problem=problem,
            notes={},
            path=folder / "model.onnx",
        )


def list_estimators() -> Iterator[tuple[str, Problem]]:
    """List every allow-listed estimator of this installation's own with each of its problems."""
    for name in sorted(allow_list.OWN):
        for problem in allow_list.OWN[name].problems:
            yield name, problem


def answer(found: verdict.Verdict) -> str:
    """Say in a cell whether a model is exported, without numbers that depend on the machine."""
    if found.serves:
        return "yes"
    reason = (found.reason or "").removeprefix("no ONNX model predicts as this version: ")
    reason = reason.removesuffix(". Export it as skops or mlflow.")
    plain = [_shorten(part) for part in reason.split("; ") if not part.endswith(" is allowed")]
    return f"no: {'; '.join(dict.fromkeys(plain))}".replace("|", "\\|")


def _shorten(reason: str) -> str:
    if "another label" in reason:
        return "its labels differ"
    if "ONNX differs" in reason:
        return "its numbers differ"
    if "[ONNXRuntimeError]" in reason:
        subject, _, _ = reason.partition(": ")
        return f"{subject}: ONNX Runtime can't run what skl2onnx writes"
    return re.sub(r"in \d+ of \d+ rows", "in some rows", reason)


def render_estimator(name: str, problem: Problem) -> str:
    """Try an estimator, and render its row."""
    method = "min_max" if name in WITHOUT_NEGATIVES else "standard"
    steps = [{**step, "method": method} if step["op"] == "scale" else step for step in PREPARED]
    with tempfile.TemporaryDirectory() as folder:
        return f"| `{name}` | {problem} | {answer(try_out(name, problem, steps, pathlib.Path(folder)))} |\n"


def render_step(label: str) -> str:
    """Try a step, and render its row."""
    with tempfile.TemporaryDirectory() as folder:
        steps = [*trials.STEPS[label], *trials.drop_unused(trials.STEPS[label], COLUMNS), FILLED]
        found = try_out("LogisticRegression", "classification", steps, pathlib.Path(folder))
    return f"| {label} | {answer(found)} |\n"


def render() -> Iterator[str]:
    """Render the page, a line or more at a time."""
    yield HEAD
    yield "\n## Estimators\n\n| estimator | problem | exported |\n|---|---|---|\n"
    for name, problem in list_estimators():
        yield render_estimator(name, problem)
    yield "\n## Steps of recipes\n\n"
    table_wise = ", ".join(f"`{name}`" for name in trials.list_table_wise())
    yield f"{table_wise} look at whole tables, so that no model has them.\n\n| step | exported |\n|---|---|\n"
    for label in trials.STEPS:
        yield render_step(label)


if __name__ == "__main__":
    PATH.write_text("".join(render()), encoding="utf-8")
