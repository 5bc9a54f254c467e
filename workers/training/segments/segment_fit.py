"""The job of one segment: trains a value's model, or the one for all, and scores it on the folds that both share."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from shared.ml import kept_rows, predictions, targets
from shared.progress import Progress, subrange
from shared.training.contract import TrainedSegment, TrainSegment
from shared.training.segments import SegmentScores
from workers import numeric_threads
from workers.job import Finish, Job
from workers.training import fit, libraries, models, store, tables
from workers.training.experiment import Experiment
from workers.training.segments import fold_scores, segmentation


def train_segment(job: Job, command: TrainSegment) -> Finish:
    """Train a segment's model, as `training.fit` would on its rows, and store it as the next version of its name."""
    command = store.complete(job, command)
    source = store.read_source(job, command)
    artifact = job.output("model.skops")
    trained, scores = train(
        job.fetch(source.data),
        experiment=Experiment(command, source.columns, command.estimator, source.recipe, command.value),
        values=[segment.value for segment in command.segmentation.segments] if command.segmentation else [],
        artifact_path=artifact.path,
        threads=numeric_threads.count(job.config),
        report=job.progress,
    )
    lineage = source.lineage
    if command.value is not None:
        lineage = {**lineage, "per": {"column": command.per, "value": command.value}}

    def finish(connection: sa.Connection) -> TrainedSegment:
        fields = store.add_model(connection, job, command, trained, key=artifact.key, lineage=lineage)
        return TrainedSegment(**fields, scores=scores)

    return finish


def train(
    dataset: Path,
    *,
    experiment: Experiment,
    values: list[kept_rows.Value],
    artifact_path: Path,
    threads: int,
    report: Progress,
) -> tuple[fit.TrainedArtifact, list[SegmentScores]]:
    """Train a model as `fit.train_model` does, and score it on the rows of its own value, or of each of `values`.

    Raises what `fit.train_model` does.
    """
    with libraries.limit_threads(threads) as caught:
        models.make_estimator(experiment.estimator, seed=experiment.setup.seed)
        prepared = fit.prepare(tables.read_table(dataset, experiment=experiment), experiment)
        truth = segmentation.read_truth(dataset, experiment=experiment)
        leak_warnings = fit.find_leaks(prepared, experiment, report=subrange(report, 0.02, 0.1))
        common = _CommonScores(dataset, truth, values, experiment)
        validated = fit.validate(
            prepared, experiment, threads=threads, report=subrange(report, 0.1, 0.5), observe=common.observe
        )
        scores = common.collect()
        if experiment.value is not None:
            told = subrange(report, 0.5, 0.8)
            folds = fold_scores.score_own(
                prepared,
                truth=truth,
                experiment=experiment,
                threads=threads,
                report=lambda done, of: told(done / of, f"compared on {done} of {of} folds"),
            )
            scores = [fold_scores.collect(experiment.value, folds)]
        trained = fit.finalize(
            prepared,
            experiment,
            validated=validated,
            artifact_path=artifact_path,
            threads=threads,
            report=subrange(report, 0.8, 1.0),
        )
    return dataclasses.replace(trained, warnings=[*leak_warnings, *caught]), scores


class _CommonScores:
    """Scores the folds of the model for all, value by value, as they are predicted."""

    def __init__(
        self, dataset: Path, truth: tables.Table, values: list[kept_rows.Value], experiment: Experiment
    ) -> None:
        self._truth = truth
        self._values = values
        self._experiment = experiment
        self._folds: list[list[tuple[int, dict[str, float]]]] = []
        self._codes = np.zeros(0, dtype=np.int64)
        if values:
            column = segmentation.read_values(dataset, truth, experiment=experiment)
            codes = pc.index_in(column, value_set=pa.array(values, type=column.type))
            self._codes = np.asarray(pc.fill_null(codes, -1).to_numpy(zero_copy_only=False))

    def observe(self, predicted: predictions.Predictions, rows: targets.Values) -> None:
        """Score a fold's predictions of held-out rows."""
        if not self._values:
            return
        masks = [self._codes == number for number in range(len(self._values))]
        self._folds.append(
            fold_scores.score_common(predicted, rows, truth=self._truth, masks=masks, experiment=self._experiment)
        )

    def collect(self) -> list[SegmentScores]:
        """Collect the scores of each value."""
        by_value = zip(*self._folds, strict=True) if self._folds else ()
        return [fold_scores.collect(value, folds) for value, folds in zip(self._values, by_value, strict=True)]
