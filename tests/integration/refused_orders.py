"""Orders that names and types of what is pinned rule out: each kind's, with where the fault is and how it is told."""

from typing import Any

import flask.testing

from tests.integration import sample_data

Client = flask.testing.FlaskClient
Refused = tuple[str, dict[str, Any], str, str]

DATA = {
    "few": ["a", "great"],
    "untargeted": ["a", "b", "word"],
    "tagged": ["a", "b", "warm", "dear"],
    "half-tagged": ["a", "b", "warm"],
}
NAIVE = {"name": "GaussianNB"}
HELD_OUT = {"method": "hold_out", "test_fraction": 0.3}
BY_FOLDS = {"method": "cross_validation", "folds": 2}


def scale(*columns: str) -> dict[str, Any]:
    """Make a recipe of one step."""
    return {"steps": [{"op": "scale", "columns": list(columns)}]}


LEARNER = {
    "dataset": "things@1",
    "target": "great",
    "problem": "classification",
    "estimator": NAIVE,
    "validation": HELD_OUT,
    "recipe": {"steps": [*sample_data.RECIPE["steps"]]},
}
TAGGER = {
    "dataset": "tagged@1",
    "targets": ["warm", "dear"],
    "problem": "multilabel",
    "estimator": {"name": "BernoulliNB"},
    "validation": HELD_OUT,
    "recipe": scale("a", "b"),
}
FIT = {"name": "dish", "dataset": "things@1", "recipe": sample_data.RECIPE}
TRAIN = {**LEARNER, "name": "pupil"}
SEARCH = {**TRAIN, "search": {"method": "grid", "space": {"var_smoothing": {"values": [1e-9, 1e-3]}}}}
BY_SHAPE = {name: value for name, value in TRAIN.items() if name not in ("dataset", "recipe")} | {"features": "shape@1"}
UNTARGETED = {name: value for name, value in BY_SHAPE.items() if name != "target"}
RIDGE = {"estimator": {"name": "Ridge"}}
TAGGED = {**{name: value for name, value in TAGGER.items() if name not in ("dataset", "recipe")}, "name": "pupil"}
SCORE = {"model": "learner@1", "dataset": "things@1"}
GUESS = {"model": "learner@1", "dataset": "few@1", "name": "guessed"}
SPLIT = {"dataset": "things@1", "parts": {"some": 0.5, "others": 0.5}}
ABSENT = "(there are 'a', 'great')"

REFUSED: list[Refused] = [
    ("processing.fit", {**FIT, "recipe": scale("a", "grate")}, "recipe/steps/0", "no column 'grate' (did you mean 'gr"),
    ("processing.fit", {**FIT, "target": "grate"}, "target", "missing: column 'grate' (did you mean 'great'?)"),
    ("processing.fit", {**FIT, "recipe": scale("great"), "target": "great"}, "recipe/steps/0", "no column 'great'"),
    ("processing.fit", {**FIT, "recipe": scale("a", "word")}, "recipe/steps/0", "'word' is categorical; scale needs"),
    (
        "processing.fit",
        {**FIT, "recipe": {"steps": [*scale("a")["steps"], {"op": "filter", "where": "wrod == 'red'"}][::-1]}},
        "recipe/steps/0",
        "(did you mean 'word'?)",
    ),
    ("processing.fit", {**FIT, "recipe": {"steps": [{"op": "drop", "columns": "all"}]}}, "recipe", "drops every"),
    (
        "processing.apply",
        {"features": "shape@1", "dataset": "few@1", "name": "shaped"},
        "dataset",
        f"missing: column 'b' {ABSENT}; column 'word' {ABSENT}",
    ),
    ("processing.split", {**SPLIT, "by": {"group": "wrod"}}, "by/group", "column 'wrod' (did you mean 'word'?)"),
    ("processing.split", {**SPLIT, "by": {"time": "word"}}, "by/time", "'word' is text, which has no order in time"),
    ("processing.split", {**SPLIT, "dataset": "single@1"}, "parts", "has 1 row, too few for 2 parts"),
    ("training.fit", {**TRAIN, "target": "grate"}, "target", "the target is missing: column 'grate' (did you mean"),
    ("training.fit", {**TRAIN, "sample_weight": "weight"}, "sample_weight", "the sample_weight is missing: column"),
    ("training.fit", {**TRAIN, "validation": BY_FOLDS | {"group": "shop"}}, "validation/group", "group is missing"),
    (
        "training.fit",
        {**TRAIN, "validation": {"method": "time_series", "time": "day"}},
        "validation/time",
        "the time is missing: column 'day' (there are 'a', 'b', 'word', 'great')",
    ),
    (
        "training.fit",
        {**TAGGER, "name": "pupil", "targets": ["warm", "deer"]},
        "targets/1",
        "the targets is missing: column 'deer' (did you mean 'dear'?)",
    ),
    ("training.fit", {**TRAIN, "recipe": scale("c")}, "recipe/steps/0", "step 1 (scale): there is no column 'c'"),
    ("training.fit", {**TRAIN, "recipe": scale("great")}, "recipe/steps/0", "there is no column 'great'"),
    (
        "training.fit",
        {**TRAIN, "dataset": "tagged@1", "target": "warm", "sample_weight": "dear", "recipe": scale("a", "dear")},
        "recipe/steps/0",
        "there is no column 'dear'",
    ),
    ("training.fit", {**TRAIN, "validation": BY_FOLDS | {"group": "word"}}, "recipe/steps/1", "no column 'word'"),
    ("training.fit", {**TRAIN, "recipe": scale("a")}, "recipe", "an estimator needs numbers, but these columns"),
    (
        "training.fit",
        {**BY_SHAPE, "target": "word"},
        "target",
        "shape@1 was fitted with the target 'great', but 'word'",
    ),
    (
        "training.fit",
        {**BY_SHAPE, "features": "untold@1", "target": "grate"},
        "target",
        "the target is missing: column",
    ),
    (
        "training.fit",
        {**BY_SHAPE, "features": "untold@1", "target": "word"},
        "features",
        "step 2 (one_hot): there is no column 'word' for steps, because it is the target",
    ),
    (
        "training.fit",
        {**UNTARGETED, "features": "untold@1"},
        "target",
        "classification needs a `target`, the column to predict, and untold@1 names none",
    ),
    (
        "training.fit",
        {**UNTARGETED, "features": "numeric@1", "problem": "regression", **RIDGE, "sample_weight": "dear"},
        "sample_weight",
        "column 'dear' is the target of numeric@1",
    ),
    (
        "training.fit",
        {**TAGGED, "features": "shape@1"},
        "targets",
        "shape@1 was fitted with the target 'great', but 'warm'",
    ),
    ("training.fit", {**BY_SHAPE, "features": "sifted@1"}, "features", "step 1 (filter) looks at whole tables"),
    ("training.search", {**SEARCH, "target": "grate"}, "target", "the target is missing: column 'grate'"),
    ("training.search", {**SEARCH, "recipe": scale("c")}, "recipe/steps/0", "there is no column 'c'"),
    ("training.search", {**SEARCH, "validation": BY_FOLDS | {"group": "shop"}}, "validation/group", "column 'shop'"),
    ("training.update", {"model": "learner@1", "dataset": "untargeted@1"}, "dataset", "the target is missing"),
    ("training.update", {"model": "learner@1", "dataset": "things@1", "target": "grate"}, "target", "'great'?)"),
    ("training.update", {"model": "learner@1", "dataset": "things@1", "target": "word"}, "dataset", "column 'word'"),
    ("training.update", {"model": "learner@1", "dataset": "few@1"}, "dataset", "missing: column 'b' (there are 'a')"),
    (
        "training.update",
        {"model": "tagger@1", "dataset": "half-tagged@1", "target": "great"},
        "dataset",
        "the targets is missing: column 'dear'",
    ),
    ("evaluation.score", {**SCORE, "target": "grate"}, "target", "missing: column 'grate' (did you mean 'great'?)"),
    ("evaluation.score", {**SCORE, "dataset": "untargeted@1"}, "dataset", "missing: column 'great'"),
    ("evaluation.score", {**SCORE, "dataset": "few@1"}, "dataset", f"missing: column 'b' {ABSENT}; column 'word'"),
    ("evaluation.score", {**SCORE, "slices": ["word", "wrod"]}, "slices", "column 'wrod' (did you mean 'word'?)"),
    ("evaluation.score", {**SCORE, "model": "narrow@1", "dataset": "few@1", "baseline": "learner@1"}, "dataset", "'b'"),
    ("evaluation.score", {"model": "tagger@1", "dataset": "half-tagged@1"}, "dataset", "missing: column 'dear'"),
    ("prediction.batch", GUESS, "dataset", f"missing: column 'b' {ABSENT}; column 'word' {ABSENT}"),
]
ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("processing.apply", {"features": "shape@1", "dataset": "untargeted@1", "name": "shaped"}),
    ("processing.apply", {"features": "numeric@1", "dataset": "half-tagged@1", "name": "shaped"}),
    ("processing.split", {**SPLIT, "by": {"time": "a"}}),
    ("training.fit", BY_SHAPE),
    ("training.fit", UNTARGETED),
    ("training.fit", {**UNTARGETED, "features": "numeric@1", "problem": "regression", **RIDGE}),
    ("training.fit", {**TRAIN, "validation": {"method": "time_series", "time": "a", "folds": 2}}),
    ("training.update", {"model": "learner@1", "dataset": "things@1"}),
    ("training.update", {"model": "tagger@1", "dataset": "tagged@1", "target": "no such column"}),
    ("evaluation.score", {"model": "tagger@1", "dataset": "tagged@1", "target": "no such column"}),
    ("evaluation.score", {**SCORE, "baseline": "narrow@1", "slices": ["great"]}),
    ("prediction.batch", {**GUESS, "dataset": "untargeted@1"}),
]


def stock(client: Client) -> None:
    """Load what the orders name, and fit and train it."""
    sample_data.load(client, "things")
    sample_data.load(client, "single", b"a\n1\n")
    for name, columns in DATA.items():
        sample_data.load(client, name, table(columns))
    sifting = {"steps": [{"op": "filter", "where": "a > -2"}, *sample_data.RECIPE["steps"]]}
    numeric = {"steps": [{"op": "scale", "columns": "numeric"}]}
    orders = {
        "features/shape": {"dataset": "things@1", "recipe": sample_data.RECIPE, "target": "great"},
        "features/untold": {"dataset": "things@1", "recipe": sample_data.RECIPE},
        "features/sifted": {"dataset": "things@1", "recipe": sifting, "target": "great"},
        "features/numeric": {"dataset": "tagged@1", "recipe": numeric, "target": "dear"},
        "models/learner": LEARNER,
        "models/narrow": {**LEARNER, "dataset": "few@1", "recipe": scale("a")},
        "models/tagger": TAGGER,
    }
    for path, order in orders.items():
        sample_data.done(client, client.post(f"/v1/{path}", json=order))


def table(columns: list[str]) -> bytes:
    """Return some columns of the sample_data's table, and two labels as 0 and 1."""
    head, *rows = sample_data.table().decode().splitlines()
    made = [dict(zip(head.split(","), row.split(","), strict=True)) for row in rows]
    for number, row in enumerate(made):
        row |= {"warm": str(number % 2), "dear": str(number // 2 % 2)}
    return "\n".join([",".join(columns), *(",".join(row[name] for name in columns) for row in made), ""]).encode()
