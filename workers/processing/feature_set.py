"""A fitted recipe with all that is needed to apply it to new data, stored as one artifact."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from shared import contract, errors
from shared.ml import artifacts, encoders, frames, inference, signatures
from shared.ml.recipes import compiling
from shared.progress import Progress
from shared.recipe.language import Recipe
from shared.recipe.tables import Windowed

# Whole tables are held in memory; this many numbers take 2 GiB.
MAX_CELLS = 1 << 28
# From here on a frame's floats skip whole numbers; the last one that an int64 can hold too.
EXACT = 2**53
LAST_WHOLE = float(2**63 - 2**10)


@dataclasses.dataclass(frozen=True)
class Prefix:
    """The recipe of a feature set that begins with steps on whole tables, and the columns that it was written for."""

    recipe: Recipe
    columns: list[contract.Column]

    @property
    def needs_whole(self) -> bool:
        """Whether a step looks at other rows, so that rows can't come a part at a time."""
        return any(isinstance(step, Windowed) for step in self.recipe.steps)


@dataclasses.dataclass(frozen=True)
class FeatureSet:
    """A fitted transformer, the columns that it takes and makes, and those that go through it untouched.

    `passed` gives the input of each output whose values are untouched. The target, when there is one, is passed on as
    the last column, and may be absent from new data.
    """

    transformer: Any
    inputs: list[contract.Column]
    outputs: list[contract.Column]
    passed: dict[str, str]
    target: contract.Column | None
    prefix: Prefix | None = None

    def save(self, path: Path) -> None:
        """Store the feature set."""
        document = {
            "inputs": _dump(self.inputs),
            "outputs": _dump(self.outputs),
            "passed": self.passed,
            "target": self.target.model_dump() if self.target else None,
        }
        if self.prefix:
            document["prefix"] = {
                "recipe": self.prefix.recipe.model_dump(mode="json"),
                "columns": _dump(self.prefix.columns),
            }
        artifacts.save({"transformer": self.transformer, "document": json.dumps(document)}, path)

    @classmethod
    def load(cls, path: Path, *, sha256: str) -> Self:
        """Read a stored feature set; UnsafeArtifactError when its file isn't the one that was stored."""
        stored = artifacts.load(path, sha256=sha256)
        if not isinstance(stored, dict) or stored.keys() != {"transformer", "document"}:
            raise errors.UnsafeArtifactError("the artifact holds no feature set")
        document = json.loads(stored["document"])
        passed, prefix = document["passed"], document.get("prefix")
        return cls(
            transformer=stored["transformer"],
            inputs=_columns(document["inputs"]),
            outputs=_columns(document["outputs"]),
            # Feature sets stored before there was `rename` list the names, which are the same on both sides.
            passed=passed if isinstance(passed, dict) else {name: name for name in passed},
            target=contract.Column(**document["target"]) if document["target"] else None,
            prefix=prefix and Prefix(Recipe.model_validate(prefix["recipe"]), columns=_columns(prefix["columns"])),
        )

    def transform(
        self, dataset: Path, *, output_path: Path, batch_rows: int | None, progress: Progress
    ) -> frames.FrameWriter:
        """Apply the feature set to a dataset a part at a time, and give the writer that describes the output."""
        extra = self._extra(dataset)
        total, done = frames.count_rows(dataset), 0
        with frames.FrameWriter(output_path, columns=self.outputs + extra) as writer:
            for batch in self._batches(dataset, [column.name for column in self.inputs + extra], batch_rows):
                self._write(batch, extra, writer)
                done += batch.num_rows
                progress(done / total, f"{done} of {total} rows transformed")
        return writer

    def write_made(self, dataset: Path, made: pd.DataFrame, *, output_path: Path) -> frames.FrameWriter:
        """Write what fitting has made of the rows that it learned from; the frame's labels are the rows' places."""
        extra = self._extra(dataset)
        batch = frames.read_table(dataset, columns=[column.name for column in self.inputs + extra])
        with frames.FrameWriter(output_path, columns=self.outputs + extra) as writer:
            writer.write_table(self._table(batch, made, extra))
        return writer

    def prepare(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Do the steps on whole tables, if there are any: what is left is for the transformer."""
        return compiling.prepare(frame, self.prefix.recipe, columns=self.prefix.columns) if self.prefix else frame

    def rounded(self, made: Path) -> list[str]:
        """Say which whole numbers that the steps have made, in a file that was written, may be rounded."""
        wanted = {one.name for one in self.outputs if one.type == "integer" and one.name not in self.passed}
        metadata = parquet.read_metadata(made)
        groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
        parts = [group.column(number) for group in groups for number in range(group.num_columns)]
        names = [part.path_in_schema for part in parts if part.path_in_schema in wanted and _is_beyond(part.statistics)]
        listed = ", ".join(repr(name) for name in dict.fromkeys(names))
        return [f"Whole numbers beyond 2^53 may be rounded in {listed}."] if listed else []

    def _extra(self, dataset: Path) -> list[contract.Column]:
        present = {column.name for column in frames.read_columns(dataset)}
        return [self.target] if self.target is not None and self.target.name in present else []

    def _batches(self, dataset: Path, names: list[str], batch_rows: int | None) -> Iterator[pa.RecordBatch | pa.Table]:
        if self.prefix and self.prefix.needs_whole:
            require_room(frames.count_rows(dataset), len(names))
            return iter([frames.read_table(dataset, columns=names)])
        rows = batch_rows or inference.rows_per_batch(max(len(self.inputs), len(self.outputs)))
        return frames.iterate_batches(dataset, batch_rows=rows, columns=names)

    def _write(
        self, batch: pa.RecordBatch | pa.Table, extra: list[contract.Column], writer: frames.FrameWriter
    ) -> None:
        frame = frames.to_frame(batch.select([column.name for column in self.inputs]))
        signature: signatures.Signature = {"columns": [column.model_dump() for column in self.inputs]}
        frame = self.prepare(signatures.conform(frame, signature=signature))
        if len(frame):
            writer.write_table(self._table(batch, encoders.transform(self.transformer, frame), extra))

    def _table(self, batch: pa.RecordBatch | pa.Table, made: pd.DataFrame, extra: list[contract.Column]) -> pa.Table:
        """Put together what was made, what is passed on and the target, for the rows that are left."""
        rows = made.index.to_numpy()
        left = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
        untouched = self.passed | {column.name: column.name for column in extra}
        # What no step changes is taken from the batch, because a frame's floats can't hold every int64.
        arrays = {
            column.name: left.column(untouched[column.name])
            if column.name in untouched
            else _to_arrow(made[column.name], column)
            for column in self.outputs + extra
        }
        return pa.table(arrays)


def require_room(rows: int, columns: int) -> None:
    """Raise LimitExceededError for a table that is too large to be held as a whole."""
    if rows * columns > MAX_CELLS:
        raise errors.LimitExceededError(
            f"steps that look at other rows hold the whole table, and {rows:,} rows of {columns} columns are more than "
            f"{MAX_CELLS:,} values; filter the dataset first, or select fewer columns"
        )


def _is_beyond(statistics: Any) -> bool:
    return statistics is not None and statistics.has_min_max and max(-statistics.min, statistics.max) >= EXACT


def _to_arrow(values: pd.Series, column: contract.Column) -> pa.Array:
    kind = frames.PHYSICAL_TYPES[column.type]
    if column.type == "boolean":
        return pa.array(values.to_numpy() == 1, type=kind, mask=values.isna().to_numpy())
    if column.type == "integer":
        wholes = np.minimum(np.nan_to_num(values.to_numpy()), LAST_WHOLE).astype(np.int64)
        return pa.array(wholes, type=kind, mask=values.isna().to_numpy())
    return pa.array(values, type=kind, from_pandas=True)


def _dump(columns: list[contract.Column]) -> list[dict[str, Any]]:
    return [column.model_dump() for column in columns]


def _columns(documents: list[dict[str, Any]]) -> list[contract.Column]:
    return [contract.Column(**document) for document in documents]
