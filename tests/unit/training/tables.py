"""Small tables as Parquet, and the real data sets, typed as ingestion types them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared import contract
from shared.ml import frames
from shared.ml.metrics import measuring
from shared.recipe.language import Recipe
from shared.training.estimators import allow_list
from shared.training.estimators.document import Estimator, Member
from shared.training.setup import Setup
from shared.training.validations import CrossValidation, Validation
from workers.training import fit
from workers.training.experiment import Experiment

HERE = Path(__file__).resolve()
DATA = Path(os.environ.get("MILLRACE_TEST_DATA", HERE.parents[3].parent / "shared" / "data"))
QUICK = CrossValidation(method="cross_validation", folds=2)


def real_data(name: str) -> Path:
    """Return a real data set's file, or skip the test where there is none."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is absent; set MILLRACE_TEST_DATA to the folder of the real data sets")
    return path


def telco() -> pd.DataFrame:
    """Read Telco churn; its blank total charges are missing numbers."""
    frame = pd.read_csv(real_data("telco_churn.csv"))
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
    return frame


def housing() -> pd.DataFrame:
    """Read California housing."""
    return pd.read_csv(real_data("california_housing.csv"))


def small(*, rows: int = 200, seed: int = 0) -> pd.DataFrame:
    """Make a table with a number, a category and something missing, and targets that partly follow from them."""
    random = np.random.default_rng(seed)
    size = random.normal(size=rows)
    colour = random.choice(["red", "green", "blue"], size=rows)
    amount = 2 * size + (colour == "red") + random.normal(scale=0.5, size=rows)
    return pd.DataFrame(
        {
            "size": np.where(random.random(rows) < 0.1, np.nan, size),
            "colour": colour,
            "amount": amount,
            "sold": np.where(amount > 0.3, "Yes", "No"),
            "big": amount > 0.3,
            "stars": np.digitize(amount, [-1.0, 1.0]) + 1,
        }
    )


def estimator(name: str, params: dict[str, Any] | None = None) -> Estimator:
    """Make an estimator's document, with members where it needs some."""
    members = []
    if allow_list.specs()[name].members is not None:
        ones = ("LogisticRegression", "GaussianNB") if name.endswith("Classifier") else ("Ridge", "LinearRegression")
        members = [Member(name=one) for one in ones]
    return Estimator(name=name, params=params or {}, estimators=members or None)


def mean(found: fit.TrainedArtifact, metric: str) -> float:
    """Return a metric's mean over the folds, on all of which it must be defined."""
    value, undefined = found.metrics[metric].mean, found.metrics[metric].undefined
    assert value is not None
    assert undefined == []
    return value


def experiment(
    *, columns: list[contract.Column], estimator: Estimator, recipe: Recipe | None = None, **setup: Any
) -> Experiment:
    """Make an experiment of a setup that no dataset stands for."""
    return Experiment(Setup.model_construct(**setup), columns, estimator, recipe)


def train(
    frame: pd.DataFrame,
    folder: Path,
    *,
    name: str,
    target: str | None = None,
    params: dict[str, Any] | None = None,
    problem: measuring.Problem = "classification",
    without: tuple[str, ...] = (),
    wanted: Recipe | None = None,
    validation: Validation = QUICK,
    seed: int = 0,
    **more: Any,
) -> fit.TrainedArtifact:
    """Store a frame as Parquet and train on it; the model is `model.skops` in the folder.

    `more` is what else an experiment may have.
    """
    dataset = folder / "dataset.parquet"
    frame.drop(columns=list(without)).to_parquet(dataset, index=False)
    return fit.train_model(
        dataset,
        experiment=experiment(
            columns=frames.read_columns(dataset),
            target=target,
            problem=problem,
            estimator=estimator(name, params),
            recipe=wanted,
            validation=validation,
            seed=seed,
            **more,
        ),
        artifact_path=folder / "model.skops",
        threads=1,
    )
