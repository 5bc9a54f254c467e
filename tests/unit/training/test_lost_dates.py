"""Texts that are no dates are counted once for each row where models are trained, updated, scored and asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from shared import digests
from shared.ml import artifacts, frames
from shared.recipe.language import Recipe
from shared.training.validations import CrossValidation
from tests.unit.training import tables
from workers.evaluation import score
from workers.prediction.batches import batch
from workers.training import partial

pytestmark = pytest.mark.slow

RECIPE = Recipe.model_validate(
    {
        "steps": [
            {"op": "parse_dates", "columns": ["seen"], "format": "dd.mm.yyyy", "on_error": "null"},
            {"op": "date_parts", "columns": ["seen"], "parts": ["day", "is_weekend"]},
            {"op": "impute", "columns": "all", "strategy": "mean"},
        ]
    }
)
LOST = [
    "Column 'seen' holds values that are no dates written like '%d.%m.%Y', such as '31.2.2024' in row 5: 20 became missing."  # noqa: E501
]


def make_table() -> pd.DataFrame:
    """Make a table in which each fifth text is no date."""
    seen = [f"{1 + row * 7 % 28}.2.2024" if row % 5 != 4 else "31.2.2024" for row in range(100)]
    return pd.DataFrame({"seen": seen, "late": ["yes" if row * 7 % 28 > 13 else "no" for row in range(100)]})


def about_dates(sentences: list[str]) -> list[str]:
    """List the sentences about what became missing."""
    return [sentence for sentence in sentences if "became missing" in sentence]


def test_each_row_is_counted_once(tmp_path: Path) -> None:
    trained = tables.train(
        make_table(),
        tmp_path,
        name="SGDClassifier",
        params={"loss": "log_loss"},
        target="late",
        wanted=RECIPE,
        validation=CrossValidation(method="cross_validation", folds=3),
    )
    assert about_dates(trained.warnings) == LOST
    given: dict[str, Any] = {"sha256": trained.sha256, "signature": trained.signature}
    dataset, model = tmp_path / "dataset.parquet", tmp_path / "model.skops"
    predicted = batch.predict_batch(
        model, dataset=dataset, problem="classification", output_path=tmp_path / "p.parquet", batch_rows=7, **given
    )
    assert about_dates(predicted.warnings) == LOST
    scores = score.score_model(model, dataset=dataset, problem="classification", target="late", **given)
    assert about_dates(scores.warnings) == LOST
    updated = partial.update_model(
        model,
        dataset=dataset,
        experiment=tables.experiment(
            columns=frames.read_columns(dataset),
            target="late",
            problem="classification",
            estimator=tables.estimator("SGDClassifier"),
        ),
        batches=4,
        artifact_path=tmp_path / "updated.skops",
        threads=1,
        **given,
    )
    assert about_dates(updated.warnings) == LOST


def test_rows_are_predicted_alone_as_they_are_among_others(tmp_path: Path) -> None:
    trained = tables.train(
        make_table(), tmp_path, name="LogisticRegression", target="late", wanted=RECIPE, validation=tables.QUICK
    )
    results = []
    for rows in (1, 100):
        output = tmp_path / f"{rows}.parquet"
        batch.predict_batch(
            tmp_path / "model.skops",
            sha256=trained.sha256,
            signature=trained.signature,
            dataset=tmp_path / "dataset.parquet",
            problem="classification",
            output_path=output,
            batch_rows=rows,
        )
        results.append(np.asarray(parquet.read_table(output)["probability_yes"]))
    np.testing.assert_array_equal(results[0], results[1])
    recipe = artifacts.load(tmp_path / "model.skops", sha256=digests.of_file(tmp_path / "model.skops"))[0]
    frame = frames.read_frame(tmp_path / "dataset.parquet", columns=["seen"])
    whole = np.asarray(recipe.transform(frame))
    single = np.vstack([np.asarray(recipe.transform(frame.iloc[[row]])) for row in range(len(frame))])
    np.testing.assert_array_equal(whole, single)
