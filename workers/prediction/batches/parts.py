"""The parts of a table that a job predicts: each is kept as an object once it is done, so that no attempt repeats it.

A part has the predictions of a range of rows, and what was noticed of them. docs/decisions/serving.md, "A batch keeps
its finished parts".
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import structlog

from shared import contract, errors, fingerprints
from shared.ml import frames
from shared.objects import store
from workers.prediction.batches.plan import Plan

_log = structlog.get_logger()
_FORMAT = 1
_LEAST_ROWS = 1 << 16
_MOST_PARTS = 64
_MARK, _OBSERVED = b"millrace.plan", b"millrace.observed"


@dataclasses.dataclass(frozen=True)
class Part:
    """The predictions of a range of rows, and what was noticed of them, for each version."""

    table: pa.Table
    observed: list[dict[str, Any]]


def count_rows(total: int) -> int:
    """Compute how many rows a part has: at least as many as are predicted at a time, and not too many parts."""
    return _LEAST_ROWS * max(1, -(-total // (_MOST_PARTS * _LEAST_ROWS)))


def mark(plan: Plan, *, part_rows: int) -> str:
    """Compute the mark of a plan's parts: those of another plan or release are not taken for ours."""
    document = plan.to_document()
    versions = [{name: version[name] for name in ("sha256", "label", "problem")} for version in document["versions"]]
    same = {"format": _FORMAT, "rows": part_rows, "prefix": plan.prefix, "split": document["split"]}
    return fingerprints.compute({**same, "versions": versions})


def write(
    path: Path, arrays: Iterable[Sequence[pa.Array]], *, added: Sequence[contract.Column], observed: Any, mark: str
) -> None:
    """Write a part's file: its added columns, batch by batch."""
    metadata = {_MARK: mark.encode(), _OBSERVED: json.dumps(observed).encode()}
    schema = pa.schema([(column.name, frames.PHYSICAL_TYPES[column.type]) for column in added], metadata=metadata)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in arrays:
            writer.write_batch(pa.RecordBatch.from_arrays(list(batch), schema=schema))


class Parts:
    """The parts of one job, in the object store."""

    def __init__(self, objects: store.Store, *, folder: str, attempt: int, mark: str) -> None:
        """Find the parts that attempts of the job have finished; `folder` has the objects of all of its attempts."""
        self._objects = objects
        self._prefix = f"{folder}/{attempt}"
        self._mark = mark
        self._staged: dict[int, store.Output] = {}
        pattern = re.compile(rf"{re.escape(folder)}/\d+/part-(\d+)\.arrow")
        matches = (pattern.fullmatch(listed.key) for listed in objects.list(folder))
        self._keys = {int(match.group(1)): match.group(0) for match in matches if match}

    @property
    def keys(self) -> list[str]:
        """The keys of all parts that are kept."""
        return list(self._keys.values())

    def has(self, number: int) -> bool:
        """Return whether an attempt has kept a part of this number."""
        return number in self._keys

    def find(self, number: int) -> Part | None:
        """Find a part that an attempt has finished; None when it must be predicted."""
        key = self._keys.get(number)
        if key is None:
            return None
        try:
            with self._objects.open_read(key) as file, pa.ipc.open_file(file) as reader:
                metadata = reader.schema.metadata or {}
                if metadata.get(_MARK) != self._mark.encode():
                    return None
                return Part(reader.read_all(), json.loads(metadata[_OBSERVED]))
        except (pa.ArrowException, FileNotFoundError, ValueError, KeyError) as error:
            _log.warning("part_not_read", part=number, error=errors.to_reason(error))
            return None

    def stage(self, number: int) -> Path:
        """Choose the path of a new part's file."""
        output = self._staged[number] = self._objects.stage(f"{self._prefix}/part-{number:05}.arrow")
        return output.path

    def keep(self, number: int) -> None:
        """Keep the part whose file has been written."""
        output = self._staged.pop(number)
        self._objects.publish(output)
        self._keys[number] = output.key

    def discard(self) -> None:
        """Remove the files of parts that were not finished."""
        for output in self._staged.values():
            output.path.unlink(missing_ok=True)
