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
from shared.ml import artifacts, encoders, frames, inference, integer_texts, integers, signatures
from shared.ml.recipes import compiling
from shared.progress import Progress
from shared.recipe.language import Recipe
from workers.processing import history

# Whole tables are held in memory; this many numbers take 2 GiB.
MAX_CELLS = 1 << 28
# The greatest float that an int64 can hold too.
MAX_INT64 = float(2**63 - 2**10)


@dataclasses.dataclass(frozen=True)
class Prefix:
    """A recipe that begins with steps on whole tables, which are applied before the transformer, and its columns."""

    recipe: Recipe
    columns: list[contract.Column]

    @property
    def needs_whole_table(self) -> bool:
        """Whether a step looks at other rows, so that rows can't be read in batches."""
        return self.recipe.looks_back


@dataclasses.dataclass(frozen=True)
class FeatureSet:
    """A fitted transformer, the columns that it takes and makes, and those that pass through it unchanged.

    `passed` is the input of each output whose values are unchanged. The target, when there is one, is passed on as the
    last column, and may be absent from new data. `exact`: integers beyond float64 are exact in every step; in feature
    sets that were stored before this existed they are float64. `carried` are columns of the dataset that some outputs
    pass on although the recipe doesn't take them.
    """

    transformer: Any
    inputs: list[contract.Column]
    outputs: list[contract.Column]
    passed: dict[str, str]
    target: contract.Column | None
    prefix: Prefix | None = None
    exact: bool = True
    carried: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """The columns that are taken as text."""
        taken = self.inputs + ([self.target] if self.target else [])
        return [column.name for column in taken if column.type == "string"]

    def save(self, path: Path) -> None:
        """Store the feature set."""
        document = {
            "inputs": _dump(self.inputs),
            "outputs": _dump(self.outputs),
            "passed": self.passed,
            "target": self.target.model_dump() if self.target else None,
            "exact": self.exact,
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
            raise errors.UnsafeArtifactError("the artifact is not a feature set")
        document = json.loads(stored["document"])
        passed, prefix = document["passed"], document.get("prefix")
        return cls(
            transformer=stored["transformer"],
            inputs=_columns(document["inputs"]),
            outputs=_columns(document["outputs"]),
            # Feature sets that were stored before `rename` existed list the names, which are the same on both sides.
            passed=passed if isinstance(passed, dict) else {name: name for name in passed},
            target=contract.Column(**document["target"]) if document["target"] else None,
            prefix=prefix and Prefix(Recipe.model_validate(prefix["recipe"]), columns=_columns(prefix["columns"])),
            exact=document.get("exact", False),
        )

    def transform(
        self,
        dataset: Path,
        *,
        output_path: Path,
        texts: integer_texts.IntegerTexts | None = None,
        past: history.Past | None = None,
        batch_rows: int | None,
        progress: Progress,
    ) -> frames.FrameWriter:
        """Apply the feature set to a dataset in batches, and return the writer, which describes the output.

        Integers become text in the columns that `texts` names, if it is given. Steps that look at earlier rows see
        those of the `past` too, which are not written.
        """
        texts = integer_texts.IntegerTexts([]) if texts is None else texts
        extra = self._extra_columns(dataset)
        total, done = frames.count_rows(dataset), 0
        with frames.FrameWriter(output_path, columns=self.outputs + extra) as writer:
            names = [*(column.name for column in self.inputs + extra), *self.carried]
            for batch in self._read_batches(dataset, list(dict.fromkeys(names)), batch_rows):
                converted = texts.convert(batch)
                if past and isinstance(converted, pa.Table):
                    frame = past.put_before(
                        converted.select(self._input_names), convert=texts.convert, conform=self._conform
                    )
                else:
                    inputs = converted.select(self._input_names)
                    frame = self._conform(frames.to_frame(inputs, first=done))
                self._write_batch(converted, self.prepare(frame), extra, writer, first=done)
                done += batch.num_rows
                progress(done / total, f"{done} of {total} rows transformed")
        return writer

    def write_fitted(self, dataset: Path, features: pd.DataFrame, *, output_path: Path) -> frames.FrameWriter:
        """Write the features that fitting has made of its own rows; the frame's labels are the rows' positions."""
        extra = self._extra_columns(dataset)
        batch = frames.read_table(dataset, columns=[column.name for column in self.inputs + extra])
        with frames.FrameWriter(output_path, columns=self.outputs + extra) as writer:
            writer.write_table(self._build_table(batch, features, extra))
        return writer

    def prepare(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Apply the steps on whole tables, if there are any; the transformer applies the rest."""
        return compiling.prepare(frame, self.prefix.recipe, columns=self.prefix.columns) if self.prefix else frame

    def note_rounding(self, output_path: Path) -> list[str]:
        """Write a note on the columns of a written file in which a step may have rounded whole numbers."""
        if self.exact:
            return []
        computed = {
            column.name for column in self.outputs if column.type == "integer" and column.name not in self.passed
        }
        metadata = parquet.read_metadata(output_path)
        groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
        chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
        chunks = [chunk for chunk in chunks if chunk.path_in_schema in computed and _exceeds_exact(chunk.statistics)]
        names = ", ".join(repr(name) for name in dict.fromkeys(chunk.path_in_schema for chunk in chunks))
        return [f"Whole numbers beyond 2^53 may be rounded in {names}."] if names else []

    def _extra_columns(self, dataset: Path) -> list[contract.Column]:
        present = {column.name for column in frames.read_columns(dataset)}
        return [self.target] if self.target is not None and self.target.name in present else []

    def _read_batches(
        self, dataset: Path, names: list[str], batch_rows: int | None
    ) -> Iterator[pa.RecordBatch | pa.Table]:
        if self.prefix and self.prefix.needs_whole_table:
            require_memory(frames.count_rows(dataset), len(names))
            return iter([frames.read_table(dataset, columns=names)])
        rows = batch_rows or inference.compute_batch_rows(max(len(self.inputs), len(self.outputs)))
        return frames.iterate_batches(dataset, batch_rows=rows, columns=names)

    @property
    def _input_names(self) -> list[str]:
        return [column.name for column in self.inputs]

    def _conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        signature: signatures.Signature = {
            "columns": [column.model_dump() | {"exact": self.exact} for column in self.inputs]
        }
        return signatures.conform(frame, signature=signature)

    def _write_batch(
        self,
        batch: pa.RecordBatch | pa.Table,
        prepared: pd.DataFrame,
        extra: list[contract.Column],
        writer: frames.FrameWriter,
        *,
        first: int,
    ) -> None:
        """Write the features of a batch, whose first row has the position `first` in the dataset."""
        # Rows of the past have labels below 0.
        prepared = prepared[prepared.index >= 0]
        if len(prepared):
            features = encoders.transform(self.transformer, prepared)
            writer.write_table(self._build_table(batch, features.set_axis(features.index - first), extra))

    def _build_table(
        self, batch: pa.RecordBatch | pa.Table, features: pd.DataFrame, extra: list[contract.Column]
    ) -> pa.Table:
        """Build the table of features, unchanged columns and the target, for the rows that were not filtered out."""
        rows = features.index.to_numpy()
        kept = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
        unchanged = self.passed | {column.name: column.name for column in extra}
        # Unchanged columns are taken from the batch as they are.
        arrays = {
            column.name: kept.column(unchanged[column.name])
            if column.name in unchanged
            else _to_arrow(features[column.name], column)
            for column in self.outputs + extra
        }
        return pa.table(arrays)


def require_memory(rows: int, columns: int) -> None:
    """Raise LimitExceededError for a table that is too large to be held in memory as a whole."""
    if rows * columns > MAX_CELLS:
        raise errors.LimitExceededError(
            f"steps that look at other rows hold the whole table, and {rows:,} rows of {columns} columns are more than "
            f"{MAX_CELLS:,} values; filter the dataset first, or select fewer columns"
        )


def _exceeds_exact(statistics: Any) -> bool:
    return statistics is not None and statistics.has_min_max and max(-statistics.min, statistics.max) >= integers.LIMIT


def _to_arrow(values: pd.Series, column: contract.Column) -> pa.Array:
    arrow_type = frames.PHYSICAL_TYPES[column.type]
    if column.type == "boolean":
        return pa.array(values.to_numpy() == 1, type=arrow_type, mask=values.isna().to_numpy())
    if column.type == "integer" and not integers.is_exact(values):
        whole = np.minimum(np.nan_to_num(values.to_numpy()), MAX_INT64).astype(np.int64)
        return pa.array(whole, type=arrow_type, mask=values.isna().to_numpy())
    if column.type == "number":
        values = integers.to_floats(values)
    return pa.array(values, type=arrow_type, from_pandas=True)


def _dump(columns: list[contract.Column]) -> list[dict[str, Any]]:
    return [column.model_dump() for column in columns]


def _columns(documents: list[dict[str, Any]]) -> list[contract.Column]:
    return [contract.Column(**document) for document in documents]
