"""What can't be trained is refused with the value seen and what helps."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors
from shared.recipe.categories import OneHot
from shared.recipe.language import Recipe
from shared.recipe.numbers import Impute
from shared.training.estimators.document import Estimator, Member
from shared.training.validations import CrossValidation, HoldOut, Validation
from tests.unit.training import tables
from workers.training import limits, models

pytestmark = pytest.mark.slow

FIVE = CrossValidation(method="cross_validation", folds=5)


def refuse(
    frame: pd.DataFrame,
    folder: Path,
    told: str,
    *,
    error: type[errors.MillraceError] = errors.BadDataError,
    name: str = "LogisticRegression",
    **wanted: Any,
) -> None:
    """Train and expect this error with this text, and no artifact."""
    with pytest.raises(error, match=told):
        tables.train(frame, folder, name=name, **({"target": "sold"} | wanted))
    assert not (folder / "model.skops").exists()


def test_an_absent_target_is_named_with_close_matches(tmp_path: Path) -> None:
    refuse(tables.small(), tmp_path, "target is missing: column 'Sold' .did you mean 'sold'", target="Sold")


def test_a_target_without_any_value_is_refused(tmp_path: Path) -> None:
    refuse(tables.small().assign(sold=None), tmp_path, "'sold' has no value in any of 200 rows")
    numbers = tables.small().assign(amount=np.nan)
    refuse(numbers, tmp_path, "'amount' has no value", target="amount", problem="regression", name="Ridge")


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    refuse(tables.small().head(0), tmp_path, "the dataset has no rows")


def test_a_target_of_one_class_is_refused(tmp_path: Path) -> None:
    refuse(tables.small().assign(sold="Yes"), tmp_path, "one class only, 'Yes' in every row")


def test_a_constant_number_is_no_target(tmp_path: Path) -> None:
    frame = tables.small().assign(amount=4.5)
    refuse(frame, tmp_path, "is 4.5 in every row", target="amount", problem="regression", name="Ridge")


def test_a_class_with_fewer_rows_than_folds_says_how_many_folds_are_possible(tmp_path: Path) -> None:
    frame = tables.small()
    frame.loc[:2, "sold"] = "Maybe"
    refuse(frame, tmp_path, "'Maybe' has 3 rows, fewer than the 5 folds; use at most 3 folds", validation=FIVE)
    frame.loc[:1, "sold"] = "Yes"
    refuse(frame, tmp_path, "'Maybe' has 1 row, .*give more rows of that class, or leave it out", validation=FIVE)


@pytest.mark.parametrize("validation", [FIVE, HoldOut(method="hold_out")])
def test_one_of_two_classes_is_never_to_be_left_out(tmp_path: Path, validation: Validation) -> None:
    frame = tables.small().assign(sold="No")
    frame.loc[0, "sold"] = "Yes"
    refuse(frame, tmp_path, "'Yes' has 1 row.*: give more rows of that class$", validation=validation)


def test_a_hold_out_without_a_row_for_each_class_is_refused(tmp_path: Path) -> None:
    part = HoldOut(method="hold_out", test_fraction=0.01)
    refuse(tables.small(rows=100), tmp_path, "100 rows into 99 to fit on and 1 to score on", validation=part)


def test_too_few_rows_for_the_folds_are_refused(tmp_path: Path) -> None:
    frame = tables.small(rows=7)
    told = "7 rows are too few for 5 folds; there must be 10 or more, or at most 3 folds"
    refuse(frame, tmp_path, told, target="amount", problem="regression", name="Ridge", validation=FIVE)


def test_ten_thousand_classes_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(20_000) % 7 + 0.5, "sold": [f"c{row // 2}" for row in range(20_000)]})
    refuse(frame, tmp_path, "10,000 different values; at most 1,000 classes")


def test_text_is_no_target_for_regression(tmp_path: Path) -> None:
    refuse(tables.small(), tmp_path, "'sold' is of type string", problem="regression", name="Ridge")


def test_fractions_are_no_labels(tmp_path: Path) -> None:
    refuse(tables.small(), tmp_path, "'amount' holds the number .*; use regression", target="amount")


@pytest.mark.parametrize(("column", "target"), [("size", "sold"), ("amount", "amount")])
def test_infinite_values_are_refused_with_their_column(tmp_path: Path, column: str, target: str) -> None:
    frame = tables.small()
    frame.loc[5, column] = np.inf
    problem = "regression" if target == "amount" else "classification"
    name = "Ridge" if target == "amount" else "LogisticRegression"
    refuse(frame, tmp_path, f"'{column}' holds .*inf", target=target, problem=problem, name=name)


def test_a_parameter_that_scikit_learn_refuses_is_refused_before_the_data_is_read(tmp_path: Path) -> None:
    told = "'criterion' parameter of RandomForestClassifier must be a str among .* Got 'poisson'"
    params = {"criterion": "poisson"}
    name = "RandomForestClassifier"
    refuse(tables.small().head(0), tmp_path, told, error=errors.BadModelError, name=name, params=params)


def test_a_weight_for_a_class_that_is_none_is_refused(tmp_path: Path) -> None:
    params = {"class_weight": {"Maybe": 2.0}}
    told = "names 'Maybe', which is no class of the target; the classes are No, Yes"
    refuse(tables.small(), tmp_path, told, error=errors.BadModelError, params=params)


@pytest.mark.parametrize(
    ("name", "params", "told"),
    [
        ("LinearSVC", {"penalty": "l1", "loss": "hinge"}, "Unsupported set of arguments"),
        ("LinearDiscriminantAnalysis", {"shrinkage": 0.5}, "shrinkage not supported with 'svd' solver"),
        ("BernoulliNB", {"alpha": [1.0] * 99}, "alpha is an array"),
        ("KNeighborsClassifier", {"n_neighbors": 101}, "Expected n_neighbors <= n_samples_fit"),
        ("GaussianNB", {"priors": [0.5, 0.2, 0.3]}, "Number of priors must match"),
        ("LogisticRegression", {"intercept_scaling": 1, "solver": "newton-cholesky", "dual": True}, "dual"),
    ],
)
def test_parameters_that_do_not_go_together_are_the_models_fault(
    tmp_path: Path, name: str, params: dict[str, Any], told: str
) -> None:
    whole = f"{name} can't be used on this data: .*{told}"
    refuse(tables.small(), tmp_path, whole, error=errors.BadModelError, name=name, params=params)


def test_missing_values_that_the_recipe_leaves_are_refused_by_the_estimator(tmp_path: Path) -> None:
    wanted = Recipe(steps=[OneHot(op="one_hot", columns=["colour"])])
    frame = tables.small().fillna({"size": 0.0})
    frame.loc[[41, 42], "size"] = np.nan
    told = r"LogisticRegression can't take missing values, but there are some in 'size' \(first in row 4[23]\)$"
    refuse(frame, tmp_path, told, error=errors.BadModelError, wanted=wanted)


def test_a_step_that_can_not_take_missing_values_names_its_column_alone_and_counts_every_row(tmp_path: Path) -> None:
    frame = tables.small()[["size", "sold"]].assign(other=np.arange(200.0))
    frame["other"] = frame["other"].where(frame.index > 150)
    frame["size"] = frame["size"].fillna(0.0)
    frame.loc[[41, 42, 43], "size"] = np.nan
    # Rows without a target are left out.
    frame.loc[:19, "sold"] = None
    steps = [{"op": "bin", "columns": ["size"]}, {"op": "impute", "columns": ["other"], "strategy": "median"}]
    told = r"LogisticRegression can't take missing values, but there are some in 'size' \(first in row 4[234]\)$"
    refuse(frame, tmp_path, told, error=errors.BadModelError, wanted=Recipe.model_validate({"steps": steps}))


def test_text_that_the_recipe_leaves_is_the_recipes_fault(tmp_path: Path) -> None:
    wanted = Recipe(steps=[Impute(op="impute", columns=["size"])])
    refuse(tables.small(), tmp_path, "'colour' .string.", error=errors.BadRecipeError, wanted=wanted)


def test_a_model_that_blows_up_is_refused(tmp_path: Path) -> None:
    frame = tables.small().drop(columns=["sold", "big", "stars"]).assign(amount=lambda table: table["amount"] * 1e12)
    params = {"solver": "sgd", "learning_rate_init": 1e6, "max_iter": 20}
    refuse(
        frame,
        tmp_path,
        "MLPRegressor can't be used on this data: Solver produced non-finite",
        error=errors.BadModelError,
        target="amount",
        problem="regression",
        name="MLPRegressor",
        params=params,
    )


def test_nothing_but_a_target_is_refused(tmp_path: Path) -> None:
    refuse(tables.small()[["sold"]], tmp_path, "no column is left", error=errors.BadRecipeError)


def test_a_kernel_machine_takes_only_so_many_rows() -> None:
    with pytest.raises(errors.LimitExceededError, match=r"SVC takes at most 50,000 rows.*there are 50,001"):
        limits.require_affordable("SVC", {}, rows=50_001, classes=2)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("DBSCAN", "use KMeans or MiniBatchKMeans"),
        ("AffinityPropagation", "use KMeans or MiniBatchKMeans"),
        ("LocalOutlierFactor", "use IsolationForest"),
        ("SVR", "use a linear, boosting or forest estimator"),
    ],
)
def test_too_many_rows_are_answered_with_estimators_for_the_same_problem(name: str, advice: str) -> None:
    with pytest.raises(errors.LimitExceededError, match=advice):
        limits.require_affordable(name, {}, rows=10_000_000, classes=0)


def test_a_forest_that_would_not_fit_into_memory_is_refused() -> None:
    params = {"n_estimators": 10_000, "bootstrap": True, "min_samples_leaf": 1, "max_leaf_nodes": None}
    with pytest.raises(errors.LimitExceededError, match=r"could take .* GiB; at most 8 GiB"):
        limits.require_affordable("RandomForestRegressor", params, rows=1_000_000, classes=0)
    limits.require_affordable("RandomForestRegressor", params | {"max_leaf_nodes": 100}, rows=1_000_000, classes=0)


@pytest.mark.parametrize(
    ("name", "params", "classes", "bytes_"),
    [
        ("LGBMRegressor", {"n_estimators": 100, "num_leaves": 31}, 0, 100 * 31 * 300),
        ("LGBMClassifier", {"n_estimators": 100, "num_leaves": 31}, 5, 5 * 100 * 31 * 300),
        ("IsolationForest", {"n_estimators": 10, "max_samples": "auto"}, 0, 10 * 2 * 256 * 72),
        ("IsolationForest", {"n_estimators": 10, "max_samples": 0.5}, 0, 10 * 2 * 500 * 72),
        ("IsolationForest", {"n_estimators": 10, "max_samples": 5000}, 0, 10 * 2 * 1000 * 72),
        ("KMeans", {"n_clusters": 9}, 0, 0),
    ],
)
def test_the_size_of_trees_is_bounded(name: str, params: dict[str, Any], classes: int, bytes_: int) -> None:
    assert limits.estimate_model_bytes(name, params, rows=1000, classes=classes) == bytes_


@pytest.mark.parametrize(
    ("problem", "more"),
    [
        ("multilabel", {"targets": [f"t{n}" for n in range(200)]}),
        ("quantile", {"quantiles": [n / 21 for n in range(1, 21)]}),
    ],
)
def test_as_many_models_as_a_problem_needs_are_counted(problem: Any, more: dict[str, Any]) -> None:
    sort = "Classifier" if problem == "multilabel" else "Regressor"
    wanted = tables.estimator(f"GradientBoosting{sort}", {"n_estimators": 2000, "max_depth": 14})
    asked = tables.experiment(columns=[], problem=problem, estimator=wanted, target="y", **more)
    labels: Any = more.get("targets")
    made = models.make_estimator(wanted, seed=0)
    with pytest.raises(errors.LimitExceededError, match="at most 8 GiB"):
        limits.require_all_affordable(made, experiment=asked, rows=100_000, classes=labels)
    limits.require_affordable(wanted.name, made.get_params(), rows=100_000, classes=0)


def test_members_are_counted_too() -> None:
    wanted = Estimator(
        name="VotingRegressor",
        estimators=[
            Member(name="Ridge"),
            Member(name="RandomForestRegressor", params={"n_estimators": 9000}),
        ],
    )
    asked = tables.experiment(columns=[], problem="regression", estimator=wanted, target="y")
    made = models.make_estimator(wanted, seed=0)
    with pytest.raises(errors.LimitExceededError, match="RandomForestRegressor on 1,000,000 rows"):
        limits.require_all_affordable(made, experiment=asked, rows=1_000_000, classes=None)


def test_a_target_stored_as_a_dictionary_of_texts_is_text(tmp_path: Path) -> None:
    path = tmp_path / "dictionary.parquet"
    table = pa.table({"sold": pa.array(["No", "Yes"] * 20).dictionary_encode(), "x": np.arange(40) % 9 + 0.5})
    parquet.write_table(table, path)
    found = tables.train(pd.read_parquet(path), tmp_path, target="sold", name="GaussianNB")
    assert found.classes == ["No", "Yes"]
