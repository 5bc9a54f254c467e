"""Training a model from a table: labels, recipes, reports and what the result says."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pydantic
import pytest

from shared import errors
from shared.ml import artifacts, frames, signatures
from shared.recipe.categories import OneHot, Ordinal
from shared.recipe.columns import Drop
from shared.recipe.language import Recipe
from shared.recipe.numbers import Impute, Scale
from shared.training.estimators import allow_list
from shared.training.estimators.document import Estimator
from shared.training.validations import HoldOut, Metric
from tests.unit.training import tables
from workers.training import fit

pytestmark = pytest.mark.slow

# Naive Bayes counts, so its features must be 0 or more; the inferred recipe scales them around 0.
COUNTS = Recipe(
    steps=[
        Impute(op="impute", columns=["size"]),
        Scale(op="scale", columns=["size"], method="min_max"),
        OneHot(op="one_hot", columns=["colour"]),
    ]
)
OTHER_TARGETS = ("sold", "big", "stars", "amount")
SMALLER = {"n_estimators": 5, "max_iter": 50}


def without(target: str) -> tuple[str, ...]:
    """Name the other targets of the small table, which would leak this one."""
    return tuple(name for name in OTHER_TARGETS if name != target)


@pytest.mark.parametrize(
    "name", sorted(name for name, spec in allow_list.specs().items() if "classification" in spec.problems)
)
@pytest.mark.parametrize("target", ["sold", "big", "stars"])
def test_every_classifier_is_trained_stored_and_read_again(name: str, target: str, tmp_path: Path) -> None:
    frame = tables.small(rows=90)
    spec = allow_list.specs()[name]
    params: dict[str, float] = {key: value for key, value in SMALLER.items() if key in spec.parameters}
    if name == "QuadraticDiscriminantAnalysis":
        params = {"reg_param": 0.5}
    wanted = COUNTS if name in ("ComplementNB", "MultinomialNB") else None
    found = tables.train(
        frame, tmp_path, target=target, name=name, params=params, without=without(target), wanted=wanted
    )
    model = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)
    said = model.predict(frames.read_frame(tmp_path / "dataset.parquet"))
    assert found.classes == sorted(frame[target].unique().tolist())
    assert set(said.tolist()) <= set(found.classes)
    assert found.bytes == (tmp_path / "model.skops").stat().st_size
    if name not in ("DummyClassifier", "VotingClassifier"):
        assert tables.mean(found, "roc_auc") > 0.7


@pytest.mark.parametrize(
    "name", sorted(name for name, spec in allow_list.specs().items() if "regression" in spec.problems)
)
def test_every_regressor_is_trained_stored_and_read_again(name: str, tmp_path: Path) -> None:
    frame = tables.small(rows=90)
    frame["amount"] = np.exp(frame["amount"] / 4)
    spec = allow_list.specs()[name]
    params: dict[str, float] = {key: value for key, value in SMALLER.items() if key in spec.parameters}
    params |= {"alpha": 0.001} if name in ("Lasso", "ElasticNet", "QuantileRegressor") else {}
    found = tables.train(
        frame, tmp_path, target="amount", name=name, params=params, problem="regression", without=without("amount")
    )
    model = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)
    assert np.isfinite(model.predict(frames.read_frame(tmp_path / "dataset.parquet"))).all()
    assert found.classes is None
    assert np.isfinite(tables.mean(found, "r2"))


def test_rows_without_a_target_are_left_out_and_counted(tmp_path: Path) -> None:
    frame = tables.small(rows=100).astype({"stars": float, "sold": object})
    frame.loc[:9, "stars"] = np.nan
    frame.loc[90:, "sold"] = None
    stars = tables.train(frame, tmp_path, target="stars", name="GaussianNB", without=without("stars"))
    assert (stars.rows, stars.classes) == (90, [1, 2, 3])
    assert stars.notes == ["10 of 100 rows were left out: their target 'stars' is missing"]
    sold = tables.train(frame, tmp_path, target="sold", name="GaussianNB", without=without("sold"))
    assert (sold.rows, sold.classes) == (90, ["No", "Yes"])


def test_a_given_recipe_is_used_as_it_is_and_the_signature_has_only_its_columns(tmp_path: Path) -> None:
    wanted = Recipe(
        steps=[
            Drop(op="drop", columns=["colour"]),
            Impute(op="impute", columns=["size"], strategy="mean"),
        ]
    )
    found = tables.train(
        tables.small(), tmp_path, target="sold", name="LogisticRegression", without=without("sold"), wanted=wanted
    )
    assert found.recipe == wanted
    assert signatures.list_columns(found.signature) == ["size"]
    assert found.signature["classes"] == ["No", "Yes"]


def test_the_recipe_is_fitted_inside_each_fold(tmp_path: Path) -> None:
    """An encoder fitted on all rows would sort these texts by their class; one fitted on others knows none of them."""
    sold = ["No", "Yes"] * 30
    frame = pd.DataFrame({"name": [f"{label}-{row}" for row, label in enumerate(sold)], "sold": sold})
    wanted = Recipe(steps=[Ordinal(op="ordinal", columns=["name"])])
    found = tables.train(frame, tmp_path, target="sold", name="DecisionTreeClassifier", wanted=wanted)
    assert found.metrics["accuracy"].mean == pytest.approx(0.5)
    encoded = frame.assign(name=frame["name"].rank())
    leaked = tables.train(encoded, tmp_path, target="sold", name="DecisionTreeClassifier")
    assert tables.mean(leaked, "accuracy") > 0.95


def test_a_hold_out_has_one_value_a_metric(tmp_path: Path) -> None:
    part = HoldOut(method="hold_out", test_fraction=0.25, seed=1)
    found = tables.train(
        tables.small(), tmp_path, target="sold", name="LogisticRegression", without=without("sold"), validation=part
    )
    area = found.metrics["roc_auc"]
    assert area.folds == [area.mean]
    assert area.std == 0.0


def test_progress_grows_to_the_end(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset.parquet"
    tables.small().drop(columns=list(without("sold"))).to_parquet(dataset)
    told: list[tuple[float, str]] = []
    fit.train_model(
        dataset,
        experiment=tables.experiment(
            columns=frames.read_columns(dataset),
            target="sold",
            problem="classification",
            estimator=Estimator(name="GaussianNB"),
        ),
        artifact_path=tmp_path / "model.skops",
        report=lambda fraction, message: told.append((fraction, message)),
    )
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[0] >= 0
    assert fractions[-1] <= 1
    assert [message for _, message in told if message.startswith("validated")] == [
        f"validated {n} of 5" for n in range(1, 6)
    ]


def test_the_result_holds_all_parameters_and_libraries_as_json(tmp_path: Path) -> None:
    params = {"class_weight": {"false": 1, "true": 3}, "C": 2.0}
    found = tables.train(
        tables.small(), tmp_path, target="big", name="LogisticRegression", params=params, without=without("big")
    )
    assert found.parameters["class_weight"] == {"false": 1, "true": 3}
    assert found.parameters["max_iter"] == 100
    assert {"scikit-learn", "python"} <= set(found.libraries)
    json.dumps([found.parameters, found.signature, found.libraries], allow_nan=False)
    assert pydantic.TypeAdapter(dict[str, Metric]).dump_json(found.metrics)


def test_a_fit_that_does_not_converge_is_a_warning_of_the_result(tmp_path: Path) -> None:
    found = tables.train(
        tables.small(),
        tmp_path,
        target="sold",
        name="MLPClassifier",
        params={"max_iter": 2},
        without=without("sold"),
    )
    [told] = found.warnings
    assert told.startswith("ConvergenceWarning: ")
    assert told.endswith("(3 times)")


def test_a_column_that_leaks_the_target_is_a_warning_of_the_result(tmp_path: Path) -> None:
    found = tables.train(tables.small(), tmp_path, target="sold", name="GaussianNB", without=("stars", "amount"))
    [told] = found.warnings
    assert told.startswith("column 'big' may leak the target")


def test_a_column_that_the_recipe_drops_leaks_nothing(tmp_path: Path) -> None:
    wanted = Recipe(
        steps=[
            Drop(op="drop", columns=["big", "colour"]),
            Impute(op="impute", columns=["size"]),
        ]
    )
    found = tables.train(
        tables.small(), tmp_path, target="sold", name="GaussianNB", without=("stars", "amount"), wanted=wanted
    )
    assert found.warnings == []


@pytest.mark.parametrize("where", ['region == "north"', "not hidden", "code > 9007199254740992"])
def test_a_condition_gives_the_same_model_as_a_dataset_of_the_rows(where: str, tmp_path: Path) -> None:
    frame = tables.small(rows=240).drop(columns=list(without("sold")))
    north = np.arange(240) % 3 != 0
    frame["region"] = np.where(north, "north", "south")
    frame["code"] = 2**53 + np.where(north, 1 + np.arange(240), 0)
    frame["hidden"] = pd.Series(False, index=frame.index, dtype="boolean").where(north)
    # The rarer class of all rows is not that of the rows that are kept.
    frame["sold"] = np.where(~north, "Yes", frame["sold"])
    whole = tables.train(frame, tmp_path, target="sold", name="LogisticRegression", where=where)
    cut = tables.train(frame[north], tmp_path, target="sold", name="LogisticRegression")
    assert whole.metrics == cut.metrics
    assert (whole.sha256, whole.positive, whole.dropped) == (cut.sha256, cut.positive, cut.dropped)
    assert whole.kept is not None
    assert (whole.kept.rows, whole.kept.dataset_rows, whole.rows) == (160, 240, 160)
    assert "`where` keeps 160 of 240 rows" in whole.notes
    assert cut.kept is None


def test_too_few_rows_under_a_condition_name_it(tmp_path: Path) -> None:
    frame = tables.small(rows=90).assign(row=np.arange(90))
    with pytest.raises(errors.BadDataError, match=r"3 rows are too few for 2 folds.*`where` keeps 3 of 90 rows"):
        tables.train(frame, tmp_path, target="amount", problem="regression", name="Ridge", where="row < 3")
