"""Draws the curves and tables of the scored rows, as training draws those of held-out rows.

docs/decisions/evaluation.md, "An evaluation draws what training draws, by the same code".
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import JsonValue

from shared import contract
from shared.evaluation.details import EvaluationDetails, Explain
from shared.figures import importances
from shared.ml import frames, inference, integer_texts, predictions, signatures, targets
from shared.ml.metrics import importance, sections
from workers.evaluation import score, scored_rows

Details = dict[str, JsonValue]


def draw(
    scores: score.Scores, pin: contract.ModelPin, artifact: Path, *, dataset: Path, target: str | None, explain: Explain
) -> Details:
    """Draw what the problem has and what is asked for, as `EvaluationDetails` without nulls; at most a mebibyte.

    `scores` are those of the model in `artifact` on `dataset`, whose rows are read again where columns are shuffled.
    """
    drawn = sections.draw(_to_held_out(scores.scored_rows))
    if explain.permutation_importance is not None:
        model = inference.Model(artifact, sha256=pin.sha256, signature=pin.signature, problem=pin.problem)
        texts = integer_texts.IntegerTexts.of_signature(pin.signature, target=target)
        drawn["permutation_importance"] = _shuffle_columns(
            scores, model, dataset=dataset, texts=texts, settings=explain.permutation_importance, seed=explain.seed
        )
    return sections.cap_size(drawn, document=EvaluationDetails)


def _to_held_out(rows: scored_rows.ScoredRows) -> sections.HeldOut:
    return sections.HeldOut(
        rows.problem,
        truth=rows.truth,
        predicted=rows.predictions,
        classes=rows.classes,
        positive=rows.positive,
        levels=rows.levels,
        weights=rows.weights,
    )


def _shuffle_columns(
    scores: score.Scores,
    model: inference.Model,
    *,
    dataset: Path,
    texts: integer_texts.IntegerTexts,
    settings: importances.PermutationImportance,
    seed: int,
) -> importances.PermutationImportances:
    columns = signatures.list_columns(model.signature)
    rows = np.arange(scores.rows)
    rows = importance.sample_rows(rows, most=importance.limit_rows(settings, columns=len(columns)), seed=seed)
    chosen = np.flatnonzero(scores.has_truth)[rows]

    def measure(_: Any, frame: pd.DataFrame, positions: targets.Values) -> dict[str, float]:
        return dataclasses.replace(scores.scored_rows.take(positions), predictions=_predict(model, frame)).measure()

    return importance.compute_importance(
        model.pipeline,
        _read_rows(dataset, chosen, columns=columns, batch_rows=model.batch_rows, texts=texts),
        rows,
        score=measure,
        problem=model.problem,
        repeats=settings.repeats,
        seed=seed,
    )


def _read_rows(
    dataset: Path, rows: targets.Values, *, columns: list[str], batch_rows: int, texts: integer_texts.IntegerTexts
) -> pd.DataFrame:
    """Read rows by their sorted positions in the dataset, batch by batch."""
    parts, done = [], 0
    for batch in frames.iterate_batches(dataset, batch_rows=batch_rows, columns=columns):
        first, last = np.searchsorted(rows, [done, done + batch.num_rows])
        if last > first:
            parts.append(batch.take(pa.array(rows[first:last] - done)))
        done += batch.num_rows
    return frames.to_frame(texts.convert(pa.Table.from_batches(parts)))


def _predict(model: inference.Model, frame: pd.DataFrame) -> predictions.Predictions:
    size = model.batch_rows
    return predictions.Predictions.concatenate(
        [model.predict(frame.iloc[start : start + size]) for start in range(0, len(frame), size)]
    )
