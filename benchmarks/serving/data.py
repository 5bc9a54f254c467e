"""The data of the serving benchmark: tables to learn from, and the bodies of requests in each server's form."""

import dataclasses
import random
from typing import Any

NUMBERS = [f"n{index}" for index in range(12)]
WORDS = {f"c{index}": [f"{word}{index}" for word in ("red", "green", "blue", "grey", "black")] for index in range(5)}
STICKY = "id"
"""The column of the unit, which no model takes."""
BODIES = 64
"""How many different bodies are sent by turns."""
_ROWS = 4000


@dataclasses.dataclass(frozen=True)
class Task:
    """A model that all servers serve: its name, and the estimator as our API takes it."""

    name: str
    is_mixed: bool
    estimator: dict[str, Any]


TASKS = (
    Task("mixed", True, {"name": "LogisticRegression", "params": {"max_iter": 300}}),
    Task("forest", False, {"name": "RandomForestClassifier", "params": {"n_estimators": 200, "max_depth": 8}}),
    Task("boosting", False, {"name": "HistGradientBoostingClassifier", "params": {}}),
)


def make_csv(task: Task) -> bytes:
    """Make the table that a task's model is fitted on: numbers, words where it is mixed, and a target `y`."""
    dice = random.Random(5)
    names = [*NUMBERS, *(WORDS if task.is_mixed else []), STICKY, "y"]
    lines = [",".join(names)]
    for index in range(_ROWS):
        row = _make_row(dice, is_mixed=task.is_mixed)
        score = row["n0"] + 0.5 * row["n1"] * row["n2"] + (row.get("c0") == WORDS["c0"][0]) + dice.gauss(0, 0.5)
        lines.append(",".join(map(str, [*row.values(), index, "yes" if score > 0 else "no"])))
    return ("\n".join(lines) + "\n").encode()


def make_requests(task: Task, *, rows: int) -> list[list[dict[str, Any]]]:
    """Make the rows of `BODIES` requests."""
    dice = random.Random(7)
    return [
        [{**_make_row(dice, is_mixed=task.is_mixed), STICKY: dice.randrange(10**6)} for _ in range(rows)]
        for _ in range(BODIES)
    ]


def _make_row(dice: random.Random, *, is_mixed: bool) -> dict[str, Any]:
    words = {name: dice.choice(values) for name, values in WORDS.items()} if is_mixed else {}
    return {**{name: round(dice.gauss(0, 1), 3) for name in NUMBERS}, **words}


def as_instances(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Write rows as our own protocol has them."""
    return {"instances": rows}


def as_frame(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Write rows as BentoML takes a frame."""
    return {"frame": _without_unit(rows)}


def as_tensors(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Write rows as MLServer takes a frame: by the Open Inference Protocol, an input a column."""
    inputs = []
    for name in _without_unit(rows)[0]:
        is_word = name in WORDS
        inputs.append(
            {
                "name": name,
                "shape": [len(rows), 1],
                "datatype": "BYTES" if is_word else "FP64",
                "data": [row[name] for row in rows],
                **({"parameters": {"content_type": "str"}} if is_word else {}),
            }
        )
    return {"parameters": {"content_type": "pd"}, "inputs": inputs, "outputs": [{"name": "predict_proba"}]}


def _without_unit(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != STICKY} for row in rows]
