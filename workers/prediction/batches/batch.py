"""Predicts every row of a dataset, Parquet to Parquet, batch by batch, in several processes where that is faster."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from shared import contract, errors
from shared.ml import frames, signatures
from shared.progress import Progress, no_progress
from workers.prediction.batches import parts, pool, ranges
from workers.prediction.batches.plan import Plan, PlannedVersion
from workers.prediction.batches.predictor import Predictor


@dataclasses.dataclass(frozen=True)
class PredictedBatch:
    """The file that was written, and the warnings."""

    columns: list[contract.Column]
    rows: int
    bytes: int
    sha256: str
    warnings: list[str]


def predict_batch(
    model_path: Path,
    *,
    sha256: str,
    dataset: Path,
    signature: signatures.Signature,
    problem: str,
    output_path: Path,
    prefix: str = "",
    batch_rows: int | None = None,
    progress: Progress = no_progress,
) -> PredictedBatch:
    """Predict a dataset by one model, as `predict` does, in this process and without keeping parts."""
    version = PlannedVersion(path=str(model_path), sha256=sha256, label="", signature=signature, problem=problem)
    plan = Plan(dataset=str(dataset), versions=[version], prefix=prefix, batch_rows=batch_rows)
    return predict(plan, output_path=output_path, progress=progress)


def predict(
    plan: Plan,
    *,
    output_path: Path,
    kept: parts.Parts | None = None,
    part_rows: int | None = None,
    threads: int = 1,
    progress: Progress = no_progress,
) -> PredictedBatch:
    """Write the dataset's columns unchanged, then the predictions: `prediction`, and others by the model's problem.

    BadDataError when the dataset lacks a column that a model needs, has one of another type, or already has one of
    the names to be added. Categories unseen in training are no error; warnings count them. Integers where a model has
    text are their decimal text.

    Parts of `part_rows` rows that are `kept` are not predicted again, and those that are predicted are kept, each once
    it is done. At most `threads` processes predict.
    """
    dataset = Path(plan.dataset)
    predictor = Predictor(plan)
    present = frames.read_columns(dataset)
    _require_free([column.name for column in predictor.added], present=[column.name for column in present])
    frames.require_columns(plan.needs, present=[column.name for column in present])
    total = frames.count_rows(dataset)
    part_rows = part_rows or parts.count_rows(total)
    with contextlib.ExitStack() as stack:
        source = _Source(predictor, plan, kept, part_rows=part_rows)
        if kept is not None:
            source.start_pool(stack, kept, total=total, threads=threads)
        writer = stack.enter_context(frames.FrameWriter(output_path, columns=present + predictor.added))
        batches = frames.iterate_batches(dataset, batch_rows=predictor.batch_rows)
        for first, batch in ranges.cut(batches, every=part_rows):
            table = pa.Table.from_batches([batch])
            for column, array in zip(predictor.added, source.predict(batch, first=first, total=total), strict=True):
                table = table.append_column(column.name, array)
            writer.write_table(table)
            progress(writer.rows / total, f"{writer.rows} of {total} rows predicted")
    return PredictedBatch(writer.columns, writer.rows, writer.bytes, writer.sha256, source.observed.warnings())


class _Source:
    """Where the predictions of each batch come from, in the order of the rows: a part that is kept, or the models."""

    def __init__(self, predictor: Predictor, plan: Plan, kept: parts.Parts | None, *, part_rows: int) -> None:
        self._predictor = predictor
        self._plan = plan
        self._kept = kept
        self._part_rows = part_rows
        self._pool: pool.Pool | None = None
        self._number = -1
        self._part: pa.Table | None = None
        self._predicted: list[list[pa.Array]] = []
        self.observed = predictor.observe_nothing()
        self._mark = parts.mark(plan, part_rows=part_rows)

    def start_pool(self, stack: contextlib.ExitStack, kept: parts.Parts, *, total: int, threads: int) -> None:
        """Let processes predict the parts that are missing, if there is enough for them to do."""
        count = -(-total // self._part_rows)
        missing = [number for number in range(count) if not kept.has(number)]
        processes = pool.count_processes(rows=len(missing) * self._part_rows, parts=len(missing), threads=threads)
        if processes:
            self._pool = stack.enter_context(
                pool.Pool(self._plan, kept, missing, part_rows=self._part_rows, processes=processes)
            )

    def predict(self, batch: pa.RecordBatch, *, first: int, total: int) -> Sequence[pa.Array | pa.ChunkedArray]:
        """Predict the rows of a batch, which is within one part."""
        number = first // self._part_rows
        if number != self._number:
            self._begin(number)
        if self._part is not None:
            kept: list[pa.ChunkedArray] = self._part.slice(first - number * self._part_rows, batch.num_rows).columns
            return kept
        arrays = self._predictor.predict(batch, first=first)
        if self._kept is not None:
            self._predicted.append(arrays)
        if first + batch.num_rows == min(total, (number + 1) * self._part_rows):
            self._end(number)
        return arrays

    def _begin(self, number: int) -> None:
        self._number = number
        if self._pool is not None:
            self._pool.wait(number)
        part = None if self._kept is None else self._kept.find(number)
        self._part = None if part is None else part.table
        if part is not None:
            self.observed.add(part.observed)
        else:
            self._predictor.observe_nothing()

    def _end(self, number: int) -> None:
        """Keep a part that was predicted here."""
        noticed = self._predictor.observed.to_documents()
        self.observed.add(noticed)
        if self._kept is None:
            return
        path = self._kept.stage(number)
        parts.write(path, self._predicted, added=self._predictor.added, observed=noticed, mark=self._mark)
        self._kept.keep(number)
        self._predicted = []


def _require_free(names: list[str], *, present: list[str]) -> None:
    clashes = [repr(name) for name in names if name in present]
    if clashes:
        raise errors.BadDataError(
            f"the dataset already has {', '.join(clashes)}, which the predictions would be called; "
            "give a `prefix`, or predict the dataset that these predictions were made of"
        )
