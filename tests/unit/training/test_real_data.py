"""What training promises on real data, with no recipe and no tuning given."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.ml import artifacts, frames
from shared.training.validations import CrossValidation
from tests.unit.training import tables

pytestmark = pytest.mark.slow

FIVE_FOLDS = CrossValidation(method="cross_validation")


@pytest.mark.parametrize(
    ("name", "params"), [("LogisticRegression", {"max_iter": 1000}), ("HistGradientBoostingClassifier", {})]
)
def test_telco_churn_is_predicted_with_an_area_of_084(
    telco: pd.DataFrame, tmp_path: Path, name: str, params: dict[str, int]
) -> None:
    found = tables.train(telco, tmp_path, target="Churn", name=name, params=params, validation=FIVE_FOLDS)
    assert tables.mean(found, "roc_auc") >= 0.84
    assert len(found.metrics["roc_auc"].folds) == 5
    assert found.rows == 7043
    assert found.classes == ["No", "Yes"]
    assert list(found.dropped) == ["customerID"]
    assert "identifier" in found.dropped["customerID"]
    assert found.warnings == []


def test_california_house_values_are_explained_to_four_fifths(housing: pd.DataFrame, tmp_path: Path) -> None:
    found = tables.train(
        housing,
        tmp_path,
        target="median_house_value",
        name="HistGradientBoostingRegressor",
        problem="regression",
        validation=FIVE_FOLDS,
    )
    assert tables.mean(found, "r2") >= 0.80
    assert found.dropped == {}
    assert found.warnings == []
    assert found.notes == []


def test_a_stored_telco_model_needs_only_the_raw_columns_and_takes_unseen_categories(
    telco: pd.DataFrame, tmp_path: Path
) -> None:
    found = tables.train(telco, tmp_path, target="Churn", name="LogisticRegression", params={"max_iter": 1000})
    model = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)
    rows = frames.read_frame(tmp_path / "dataset.parquet").head(20)
    rows["Contract"] = "Five centuries"
    rows.loc[3, ["tenure", "TotalCharges"]] = np.nan
    probability = model.predict_proba(rows)
    assert probability.shape == (20, 2)
    assert np.isfinite(probability).all()


@pytest.mark.parametrize("name", ["HistGradientBoostingClassifier", "RandomForestClassifier"])
def test_the_same_seeds_give_the_same_bits(telco: pd.DataFrame, tmp_path: Path, name: str) -> None:
    some = telco.head(1500)
    params = {"n_estimators": 20} if name.startswith("Random") else {}
    first, again, other = (
        tables.train(some, tmp_path, target="Churn", name=name, params=params, seed=seed) for seed in (3, 3, 4)
    )
    assert first == again
    assert first.sha256 != other.sha256
