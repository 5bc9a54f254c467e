"""Scores a model on a dataset that has the truth, reading the dataset batch by batch."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from shared import errors, positive_class
from shared.ml import frames, inference, integer_texts, signatures, targets
from shared.ml.metrics import measuring
from shared.ml.values import lost_values, unexpected_values, weights
from shared.progress import Progress, no_progress
from workers.evaluation import scored_rows


@dataclasses.dataclass(frozen=True)
class Scores:
    """A model's predictions with the truth, a mask of the dataset's rows that were scored, and warnings.

    `skipped_rows` counts the rows that were to be scored but have no truth.
    """

    scored_rows: scored_rows.ScoredRows
    has_truth: targets.Mask
    skipped_rows: int
    warnings: list[str]

    @functools.cached_property
    def metrics(self) -> dict[str, float]:
        """The metrics, by scikit-learn's names."""
        return self.scored_rows.measure()

    @property
    def rows(self) -> int:
        """The number of rows that were scored."""
        return self.scored_rows.rows

    def measure_for(self, positive: targets.Label | None) -> "Scores":
        """Return the same predictions, to be measured for another positive class, where the model has that class."""
        rows = self.scored_rows
        if positive is None or positive == rows.positive_label or positive not in (rows.classes or []):
            return self
        return dataclasses.replace(self, scored_rows=dataclasses.replace(rows, positive=positive))


def score_model(
    model_path: Path,
    *,
    sha256: str,
    dataset: Path,
    signature: signatures.Signature,
    target: str | None,
    problem: str,
    positive: targets.Label | None = None,
    sample_weight: str | None = None,
    kept: targets.Mask | None = None,
    progress: Progress = no_progress,
) -> Scores:
    """Score a model on the rows whose target is known; BadDataError when the target can't serve as the truth.

    `kept` is a mask of the dataset's rows that are to be scored, by default all.

    Clusters have no target, nor have labels that are columns of their own. For anomalies it may be left out, which
    leaves only the fraction of rows that are predicted anomalous as a metric. `positive` is the positive one of two
    classes, by default the model's own. `sample_weight` is the column with the rows' weights, if they have any.
    """
    model = inference.Model(model_path, sha256=sha256, signature=signature, problem=problem)
    texts = integer_texts.IntegerTexts.of_signature(signature, target=target)
    truth, has_truth = _read_truth(dataset, target=target, model=model, texts=texts, kept=kept)
    unexpected = unexpected_values.UnexpectedValues(signature)
    predictions, done = [], 0
    needed = signatures.list_columns(signature)
    with lost_values.counted() as losses:
        for batch in frames.iterate_batches(dataset, batch_rows=model.batch_rows, columns=needed):
            frame = frames.to_frame(texts.convert(batch))
            known_rows = frame[has_truth[done : done + len(frame)]]
            done += len(frame)
            if len(known_rows):
                predictions.append(model.predict(known_rows))
                unexpected.observe(known_rows)
            progress(done / len(has_truth), f"{done} of {len(has_truth)} rows predicted")
    result = scored_rows.ScoredRows(
        model.problem,
        truth=truth,
        predictions=measuring.Predictions.concatenate(predictions),
        classes=model.classes,
        positive=_choose_positive(model, positive),
        levels=model.levels,
        weights=_read_weights(dataset, sample_weight, has_truth=has_truth),
    )
    rows = len(has_truth) if kept is None else int(np.sum(kept))
    skipped = rows - int(np.sum(has_truth))
    warnings = [f"{skipped} of {rows} rows have no target and were skipped."] if skipped else []
    if model.problem == "multilabel" and signature.get("separator") and truth is not None:
        warnings += [f"{note}." for note in targets.describe_unlabelled(truth, name=f"{target}")]
    warnings += texts.notes() + unexpected.warnings() + losses.describe(in_batches=True)
    return Scores(result, has_truth=has_truth, skipped_rows=skipped, warnings=warnings)


def _choose_positive(model: inference.Model, requested: targets.Label | None) -> targets.Label | None:
    own = positive_class.of_signature({**model.signature, "problem": model.problem})
    return own if requested is None or requested not in (model.classes or []) else requested


def _read_weights(dataset: Path, name: str | None, *, has_truth: targets.Mask) -> targets.Values | None:
    if name is None:
        return None
    column = frames.read_frame(dataset, columns=[name])[name][has_truth]
    weights.require_complete(column, name=name, field="sample_weight")
    return weights.to_weights(column, name=name)


def _read_truth(
    dataset: Path,
    *,
    target: str | None,
    model: inference.Model,
    texts: integer_texts.IntegerTexts,
    kept: targets.Mask | None,
) -> tuple[targets.Values | None, targets.Mask]:
    """Read the truth of the rows that have one and are kept, and a mask of these rows over the whole dataset."""
    if model.problem != "multilabel" and target is None:
        rows = frames.count_rows(dataset)
        if not rows:
            raise errors.BadDataError("the dataset has no rows; there is nothing to score")
        return None, np.ones(rows, dtype=bool) if kept is None else kept
    columns = cast(list[str], cast(dict[str, Any], model.signature).get("targets") or [target])
    table = texts.convert(frames.read_table(dataset, columns=columns))
    rows = table.num_rows
    positions = None if kept is None else np.flatnonzero(kept)
    table = table if kept is None else table.filter(pa.array(kept))
    truth, has_truth = _to_truth(table, columns=columns, model=model, positions=positions)
    if positions is None:
        return truth, has_truth
    scored = np.zeros(rows, dtype=bool)
    scored[positions[has_truth]] = True
    return truth, scored


def _to_truth(
    table: pa.Table, *, columns: list[str], model: inference.Model, positions: targets.Values | None
) -> tuple[targets.Values, targets.Mask]:
    if model.problem == "multilabel":
        return _to_labels(table, columns=columns, model=model, positions=positions)
    target = columns[0]
    truth, has_truth = targets.to_target(table.column(target), name=target, problem=model.problem, positions=positions)
    if not len(truth):
        raise errors.BadDataError(f"the target {target!r} has no value in any of the {len(has_truth)} rows")
    if model.classes is not None:
        _require_classes(truth, target=target, classes=model.classes)
    return truth, has_truth


def _to_labels(
    table: pa.Table, *, columns: list[str], model: inference.Model, positions: targets.Values | None
) -> tuple[targets.Values, targets.Mask]:
    signature = cast(dict[str, Any], model.signature)
    truth, has_truth, _ = targets.to_label_sets(
        table,
        columns=columns,
        separator=signature.get("separator"),
        labels=signature["classes"],
        positions=positions,
    )
    if not len(truth):
        raise errors.BadDataError(f"the targets {columns} have no value in any of the {len(has_truth)} rows")
    return truth, has_truth


def _require_classes(truth: targets.Values, *, target: str, classes: list[targets.Label]) -> None:
    present = targets.to_json(targets.encode(truth).labels)
    trained = [f"{label!r}" for label in classes]
    unseen = [f"{label!r}" for label in present if f"{label!r}" not in trained]
    if unseen:
        raise errors.BadDataError(
            f"the target {target!r} holds {', '.join(unseen[:10])}, which the model never saw; "
            f"it knows {', '.join(trained[:10])}"
        )
    if len(present) < 2:
        raise errors.BadDataError(
            f"the target {target!r} holds one class only, {present[0]!r}; a classifier is scored on at least two"
        )
