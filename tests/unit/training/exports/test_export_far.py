"""Numbers far from 0, such as times in seconds, keep their differences in an ONNX export, or there is no export."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import ensemble, metrics, svm, tree

from shared import errors
from shared.ml import artifacts, predictions, signatures
from shared.recipe.language import Recipe
from shared.training.refinements import Conformal
from tests.unit.training import tables
from tests.unit.training.exports.test_export_onnx import answers, fewer
from workers.training.exports import centering, onnx_file

pytestmark = pytest.mark.slow

SECONDS, MILLISECONDS = 1_700_000_000.0, 1_700_000_000_000.0
TARGETS = [(SECONDS, 60.0), (SECONDS, 1.0), (MILLISECONDS, 60_000.0), (MILLISECONDS, 100.0), (-4e9, 5.0)]
IN_DOUBLE = ["Ridge", "LinearRegression", "KNeighborsRegressor", "VotingRegressor", "StackingRegressor"]
CENTERED = [
    "HistGradientBoostingRegressor",
    "RandomForestRegressor",
    "ExtraTreesRegressor",
    "GradientBoostingRegressor",
    "AdaBoostRegressor",
    "BaggingRegressor",
    "DecisionTreeRegressor",
    "SVR",
]


def arrivals(*, offset: float, spread: float, rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Make a table of two numbers and a target that follows from them, far from 0."""
    random = np.random.default_rng(seed)
    x, z = random.normal(size=(2, rows))
    eta = offset + np.round(spread * (2 * x + z + random.normal(scale=0.1, size=rows)), 3)
    return pd.DataFrame({"x": x, "z": z, "eta": eta})


def export(
    frame: pd.DataFrame, folder: Path, *, problem: predictions.Problem, **how: Any
) -> tuple[dict[str, Any], signatures.Signature, Any]:
    """Train a model, export it, and return the details, the signature and the fitted pipeline."""
    params = {**fewer(how["name"]), **how.pop("params", {})}
    trained = tables.train(frame, folder, problem=problem, params=params, **how)
    pipeline = artifacts.load(folder / "model.skops", sha256=trained.sha256)
    details: Any = onnx_file.write(
        pipeline,
        folder / "dataset.parquet",
        signature=trained.signature,
        problem=problem,
        notes={},
        path=folder / "model.onnx",
    )
    return details, trained.signature, pipeline


@pytest.mark.parametrize("name", [*IN_DOUBLE, *CENTERED])
@pytest.mark.parametrize(("offset", "spread"), TARGETS)
def test_a_target_far_from_0_is_predicted_as_well_as_by_scikit_learn(
    name: str, offset: float, spread: float, tmp_path: Path
) -> None:
    frame = arrivals(offset=offset, spread=spread)
    details, signature, pipeline = export(frame, tmp_path, name=name, problem="regression", target="eta")
    fresh = arrivals(offset=offset, spread=spread, seed=1)
    said = answers(tmp_path, fresh[["x", "z"]], signature, details)["prediction"]
    wanted = pipeline.predict(fresh[["x", "z"]])
    np.testing.assert_allclose(said, wanted, rtol=0, atol=1e-3 * spread)
    score = metrics.r2_score(fresh["eta"], said)
    assert score == pytest.approx(metrics.r2_score(fresh["eta"], wanted), abs=1e-4)


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_a_booster_of_any_loss_without_a_logarithm_keeps_its_digits(loss: str, tmp_path: Path) -> None:
    frame = arrivals(offset=SECONDS, spread=1.0)
    params = {"loss": loss, **({"quantile": 0.3} if loss == "quantile" else {})}
    details, signature, pipeline = export(
        frame, tmp_path, name="HistGradientBoostingRegressor", params=params, problem="regression", target="eta"
    )
    said = answers(tmp_path, frame[["x", "z"]], signature, details)["prediction"]
    np.testing.assert_allclose(said, pipeline.predict(frame[["x", "z"]]), rtol=0, atol=1e-3)


def test_quantiles_far_from_0_keep_their_digits(tmp_path: Path) -> None:
    frame = arrivals(offset=MILLISECONDS, spread=1000.0)
    details, signature, pipeline = export(
        frame, tmp_path, name="GradientBoostingRegressor", problem="quantile", target="eta"
    )
    said = answers(tmp_path, frame[["x", "z"]], signature, details)["quantiles"]
    wanted: Any = predictions.predict(pipeline, frame[["x", "z"]], problem="quantile").quantiles
    np.testing.assert_allclose(said, wanted, rtol=0, atol=1)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_what_onnx_can_only_compute_in_float32_is_refused_and_told_how_far_off_it_is(loss: str, tmp_path: Path) -> None:
    frame = arrivals(offset=SECONDS, spread=1.0)
    with pytest.raises(errors.BadModelError, match=r"differs from scikit-learn by up to [\d.e+]+ of the answers'"):
        export(
            frame,
            tmp_path,
            name="HistGradientBoostingRegressor",
            params={"loss": loss},
            problem="regression",
            target="eta",
        )
    assert not (tmp_path / "model.onnx").exists()


def test_rows_with_0_for_a_time_do_not_hide_what_float32_loses_of_the_others(tmp_path: Path) -> None:
    frame = arrivals(offset=SECONDS, spread=60.0)
    frame.loc[::20, ["x", "eta"]] = [50.0, 0.0]
    details, signature, pipeline = export(
        frame, tmp_path, name="DecisionTreeRegressor", problem="regression", target="eta"
    )
    times = frame.loc[frame["eta"] > 0, ["x", "z"]]
    said = answers(tmp_path, times, signature, details)["prediction"]
    np.testing.assert_allclose(said, pipeline.predict(times), rtol=0, atol=0.06)


def test_centering_moves_what_is_predicted_and_leaves_the_model_as_it_was() -> None:
    frame = arrivals(offset=1e6, spread=1.0)
    x, y = frame[["x", "z"]].to_numpy(), frame["eta"].to_numpy()
    models = [
        ensemble.HistGradientBoostingRegressor(),
        ensemble.RandomForestRegressor(n_estimators=5),
        ensemble.GradientBoostingRegressor(),
        ensemble.AdaBoostRegressor(),
        tree.DecisionTreeRegressor(),
        svm.SVR(),
        svm.NuSVR(),
    ]
    for model in models:
        before = model.fit(x, y).predict(x)
        moved = centering.subtract(model, 1e6)
        assert moved is not None
        np.testing.assert_allclose(moved.predict(x), before - 1e6, atol=1e-6)
        np.testing.assert_array_equal(model.predict(x), before)


def test_an_interval_far_from_0_is_as_wide_as_in_scikit_learn(tmp_path: Path) -> None:
    frame = arrivals(offset=SECONDS, spread=1.0)
    details, signature, pipeline = export(
        frame, tmp_path, name="Ridge", problem="regression", target="eta", conformal=Conformal(method="split")
    )
    said = answers(tmp_path, frame[["x", "z"]], signature, details)
    wanted = pipeline[-1].predict_interval(pipeline[:-1].transform(frame[["x", "z"]]))
    np.testing.assert_allclose([said["prediction_lower"], said["prediction_upper"]], wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["LogisticRegression", "GaussianNB", "DecisionTreeClassifier"])
def test_a_feature_far_from_0_decides_as_in_scikit_learn(name: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"seen_at": SECONDS + np.round(random.uniform(0, 100, size=300))})
    frame["late"] = frame["seen_at"] > SECONDS + 50 + random.normal(scale=5, size=300)
    recipe = Recipe.model_validate({"steps": [{"op": "scale", "columns": ["seen_at"]}]})
    details, signature, pipeline = export(
        frame, tmp_path, name=name, problem="classification", target="late", wanted=recipe
    )
    fresh = pd.DataFrame({"seen_at": SECONDS + np.arange(0.0, 100.0)})
    said = answers(tmp_path, fresh, signature, details)
    assert details["inputs"][0]["datatype"] == "float64"
    np.testing.assert_array_equal(said["label"], pipeline.predict(fresh))
    np.testing.assert_allclose(said["probabilities"], pipeline.predict_proba(fresh), atol=1e-4)
