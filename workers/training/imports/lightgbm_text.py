"""Reads the text of a LightGBM model as an estimator of ours, whose every tree is checked before LightGBM sees it."""

import re
from pathlib import Path

import numpy as np

from shared import errors
from shared.ml import booster_text, light_gbm, targets
from shared.training import imports
from workers.training.imports.candidate import Candidate, Request

CLASSIFIERS = frozenset({"binary", "cross_entropy", "xentropy", "multiclass"})
REGRESSORS = frozenset(
    {"fair", "gamma", "huber", "mape", "poisson", "quantile", "regression", "regression_l1", "tweedie"}
)
_CATEGORICAL = re.compile(r"^num_cat=[1-9]", re.MULTILINE)
_LINEAR = re.compile(r"^is_linear=1", re.MULTILINE)
_NAMES = re.compile(r"^feature_names=.*$", re.MULTILINE)


def read(path: Path, request: Request) -> Candidate:
    """Read a model; BadModelError for what isn't one, and for what Millrace doesn't run."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise errors.BadModelError(f"this is not the text of a LightGBM model: {error}") from error
    if booster_text.END not in text:
        raise errors.BadModelError("this is not the text of a LightGBM model, or it was cut off: its trees don't end")
    text = booster_text.cut(text.replace("\r\n", "\n"))
    _refuse_unknown_trees(text)
    head = dict(line.partition("=")[::2] for line in text.partition("\nTree=")[0].split("\n"))
    objective = head.get("objective", "").split(" ")[0]
    problem = _tell_problem(objective, request.problem)
    try:
        features, outputs = int(head["max_feature_idx"]) + 1, int(head["num_class"])
    except (KeyError, ValueError) as error:
        raise errors.BadModelError(f"this is not the text of a LightGBM model: its head lacks {error}") from error
    columns, column_notes = _name_columns(head.get("feature_names", "").split(" "), features, request)
    # Their names are in the signature; other letters than ASCII are none of LightGBM's business any more.
    text = _NAMES.sub("feature_names=" + " ".join(f"Column_{place}" for place in range(features)), text, count=1)
    booster_text.require_sound(text, features=features, outputs=outputs)
    estimator: light_gbm.LGBMClassifier | light_gbm.LGBMRegressor
    classes: list[targets.Label] | None = None
    notes: list[str] = []
    if problem == "classification":
        classes, notes = _name_classes(max(outputs, 2), request)
        estimator = light_gbm.LGBMClassifier()
        estimator.classes_ = np.asarray(classes, dtype=object if isinstance(classes[0], str) else None)
    else:
        estimator = light_gbm.LGBMRegressor()
    estimator.n_features_in_ = features
    estimator.model_text_ = text
    trees = text.count("\nTree=")
    estimator.n_iter_ = trees // max(outputs, 1)
    return Candidate(
        format="lightgbm",
        estimator=estimator,
        columns=columns,
        problem=problem,
        classes=classes,
        facts={"producer": f"LightGBM, objective {head.get('objective', '')[:100]}", "trees": trees},
        libraries=("lightgbm",),
        notes=[*column_notes, *notes],
    )


def _refuse_unknown_trees(text: str) -> None:
    if _CATEGORICAL.search(text):
        raise errors.BadModelError(
            "the model splits by categories, which Millrace doesn't read; train it on encoded categories (numbers)"
        )
    if _LINEAR.search(text):
        raise errors.BadModelError("the model has linear trees, which Millrace doesn't read")


def _tell_problem(objective: str, asked: imports.Problem | None) -> imports.Problem:
    found: imports.Problem | None = (
        "classification" if objective in CLASSIFIERS else "regression" if objective in REGRESSORS else None
    )
    if found is None:
        raise errors.BadModelError(
            f"the model's objective is {objective[:50]!r}; those that are imported are "
            f"{', '.join(sorted(CLASSIFIERS | REGRESSORS))}"
        )
    if asked is not None and asked != found:
        raise errors.BadModelError(
            f"the model's objective, {objective}, is one of {found}, not of {asked}", pointer="#/params/problem"
        )
    return found


def _name_columns(names: list[str], features: int, request: Request) -> tuple[list[dict[str, object]], list[str]]:
    """Describe the columns, by the names that were given or else by those in the file."""
    given = request.columns
    if not 1 <= features <= imports.MAX_COLUMNS or (given is not None and len(given) != features):
        raise errors.BadModelError(
            f"the model takes {features:,} columns" + ("" if given is None else f", and {len(given)} are given"),
            pointer="#/params/columns",
        )
    if given is None and len(names) != features:
        raise errors.BadModelError(f"the model names {len(names)} columns, and takes {features}")
    chosen = [imports.ImportedColumn(name=name) for name in names] if given is None else given
    text = next((column.name for column in chosen if column.type in ("string", "timestamp", "date")), None)
    if text is not None:
        raise errors.BadModelError(
            f"the column {text!r} can't be of that type: LightGBM's trees compare numbers", pointer="#/params/columns"
        )
    described = [{"name": column.name, "type": column.type or "number", "nullable": True} for column in chosen]
    note = "LightGBM writes a column's name with '_' for each space; give `columns` if the data has other names."
    return described, [note] if given is None and any("_" in name for name in names) else []


def _name_classes(count: int, request: Request) -> tuple[list[targets.Label], list[str]]:
    """Name the classes, which LightGBM numbers; they have to be sorted, as those of all models here are."""
    if request.classes is None:
        note = f"LightGBM names no classes; they are numbered 0 to {count - 1}. Give `classes` to name them."
        return [*range(count)], [note]
    if len(request.classes) != count:
        raise errors.BadModelError(
            f"the model has {count} classes, and {len(request.classes)} are given", pointer="#/params/classes"
        )
    if request.classes != sorted(request.classes):
        raise errors.BadModelError(
            "the classes of a LightGBM model must be in sorted order, as its own LGBMClassifier numbers them",
            pointer="#/params/classes",
        )
    return request.classes, []
