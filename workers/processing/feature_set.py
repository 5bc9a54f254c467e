"""A fitted recipe with all that is needed to apply it to new data, stored as one artifact."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from shared import contract, errors
from shared.ml import artifacts, frames, inference, progress, signatures


@dataclasses.dataclass(frozen=True)
class FeatureSet:
    """A fitted transformer, the columns that it takes and makes, and those that go through it untouched.

    The target, when there is one, is passed on as the last column, and may be absent from new data.
    """

    transformer: Any
    inputs: list[contract.Column]
    outputs: list[contract.Column]
    passed: list[str]
    target: contract.Column | None

    def save(self, path: Path) -> None:
        """Store the feature set."""
        document = {
            "inputs": [column.model_dump() for column in self.inputs],
            "outputs": [column.model_dump() for column in self.outputs],
            "passed": self.passed,
            "target": self.target.model_dump() if self.target else None,
        }
        artifacts.save({"transformer": self.transformer, "document": json.dumps(document)}, path)

    @classmethod
    def load(cls, path: Path, *, sha256: str) -> Self:
        """Read a stored feature set; UnsafeArtifactError when its file isn't the one that was stored."""
        stored = artifacts.load(path, sha256=sha256)
        if not isinstance(stored, dict) or stored.keys() != {"transformer", "document"}:
            raise errors.UnsafeArtifactError("the artifact holds no feature set")
        document = json.loads(stored["document"])
        return cls(
            transformer=stored["transformer"],
            inputs=[contract.Column(**column) for column in document["inputs"]],
            outputs=[contract.Column(**column) for column in document["outputs"]],
            passed=document["passed"],
            target=contract.Column(**document["target"]) if document["target"] else None,
        )

    def transform(
        self, dataset: Path, *, output_path: Path, batch_rows: int | None, progress: progress.Progress
    ) -> frames.FrameWriter:
        """Apply the feature set to a dataset a part at a time, and give the writer that describes the output."""
        present = frames.read_columns(dataset)
        has_target = self.target is not None and any(column.name == self.target.name for column in present)
        extra = [self.target] if self.target is not None and has_target else []
        names = [column.name for column in self.inputs + extra]
        rows = batch_rows or inference.rows_per_batch(max(len(self.inputs), len(self.outputs)))
        total = frames.count_rows(dataset)
        with frames.FrameWriter(output_path, columns=self.outputs + extra) as writer:
            for batch in frames.iterate_batches(dataset, batch_rows=rows, columns=names):
                writer.write_table(self._transform(batch, extra))
                progress(writer.rows / total, f"{writer.rows} of {total} rows transformed")
        return writer

    def _transform(self, batch: pa.RecordBatch, extra: list[contract.Column]) -> pa.Table:
        frame = frames.to_frame(batch.select([column.name for column in self.inputs]))
        signature: signatures.Signature = {"columns": [column.model_dump() for column in self.inputs]}
        made = self.transformer.transform(signatures.conform(frame, signature=signature))
        untouched = {*self.passed, *(column.name for column in extra)}
        # What no step names is taken from the batch, because a frame's floats can't hold every int64.
        arrays = {
            column.name: batch.column(column.name)
            if column.name in untouched
            else pa.array(made[column.name], type=frames.PHYSICAL_TYPES[column.type], from_pandas=True)
            for column in self.outputs + extra
        }
        return pa.table(arrays)
