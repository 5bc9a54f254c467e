"""Makes a feature set's table of one row a key, which copies of the inference server map into memory."""

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared import contract, digests, errors
from shared.ml import frames, inference
from shared.objects.lookups import layout, writer
from shared.progress import Progress, no_progress
from workers.processing import apply, feature_set, history

_MISSING_TIME = np.iinfo(np.int64).min
Pairs = npt.NDArray[np.uint64]


@dataclasses.dataclass(frozen=True)
class Published:
    """The file that was written, and what was noticed."""

    key: list[contract.Column]
    columns: list[contract.Column]
    rows: int
    bytes: int
    sha256: str
    notes: list[str]


def publish_features(
    dataset: Path,
    *,
    transformer: Path,
    sha256: str,
    key: Sequence[str],
    time: str | None,
    output_path: Path,
    scratch: Path,
    earlier: history.History | None = None,
    batch_rows: int | None = None,
    progress: Progress = no_progress,
) -> Published:
    """Apply a feature set to a dataset, and write one row a key; a target is left out.

    Raises what `apply_features` raises, and BadDataError for a key that comes more than once, where no `time` says
    which row is the latest.
    """
    loaded = feature_set.FeatureSet.load(transformer, sha256=sha256)
    fitted = dataclasses.replace(loaded, target=None)
    raw = [*key, *([time] if time else [])]
    types = {column.name: column.type for column in frames.read_columns(dataset)}
    carried = _carry(fitted, raw, types)
    names = [column.name for column in carried]
    applied_path = scratch / "applied.parquet"
    applied = apply.apply_fitted(
        dataclasses.replace(
            fitted,
            outputs=fitted.outputs + carried,
            passed=fitted.passed | dict(zip(names, raw, strict=True)),
            # That the target is left out is no news.
            carried=tuple(raw) + ((loaded.target.name,) if loaded.target and loaded.target.name in types else ()),
        ),
        dataset,
        output_path=applied_path,
        earlier=earlier,
        batch_rows=batch_rows,
        progress=lambda fraction, message: progress(fraction * 0.8, message),
    )
    rows = _Rows(applied_path, carried[: len(key)], names[len(key) :], shown=key)
    columns = [column for column in applied.columns if column.name not in names]
    described = layout.Layout(
        key=[
            contract.Column(name=name, type=column.type, nullable=False)
            for name, column in zip(key, carried, strict=False)
        ],
        columns=columns,
        rows=len(rows.hashes),
        example=dict(zip(key, rows.example, strict=True)),
    )
    count = batch_rows or inference.compute_batch_rows(len(columns))
    with writer.Writer(output_path, described, hashes=rows.hashes) as table:
        first = 0
        for batch in frames.iterate_batches(applied_path, batch_rows=count, columns=[each.name for each in columns]):
            places = rows.places[first : first + batch.num_rows]
            kept = places >= 0
            table.write(batch if kept.all() else batch.filter(pa.array(kept)), places[kept])
            first += batch.num_rows
            progress(0.8 + 0.2 * first / max(1, len(rows.places)), f"{first} rows written")
    size = output_path.stat().st_size
    return Published(
        described.key, columns, described.rows, size, digests.of_file(output_path), applied.notes + rows.notes
    )


def _carry(
    fitted: feature_set.FeatureSet, raw: Sequence[str], types: dict[str, contract.ColumnType]
) -> list[contract.Column]:
    """Name the outputs that pass on the columns of the key and the time, as none of the recipe's is called."""
    taken = {column.name for column in fitted.outputs}
    texts, prefix = set(fitted.texts), "key"
    while any(name.startswith(prefix) for name in taken):
        prefix = f"_{prefix}"
    return [
        contract.Column(name=f"{prefix}{number}", type="string" if name in texts else types[name])
        for number, name in enumerate(raw)
    ]


class _Rows:
    """Which rows of a table of features are published, and where they stand in the order of their hashes."""

    def __init__(
        self, path: Path, key: Sequence[contract.Column], time: Sequence[str], *, shown: Sequence[str]
    ) -> None:
        self._path = path
        self._key = [column.name for column in key]
        self._shown = shown
        hashes, total = bytearray(), 0
        with_key: list[npt.NDArray[np.int64]] = []
        times: list[npt.NDArray[np.int64]] = []
        for batch in frames.iterate_batches(path, batch_rows=65_536, columns=[*self._key, *time]):
            found, positions = writer.hash_columns(
                [batch.column(name) for name in self._key], [column.type for column in key]
            )
            hashes += found
            with_key.append(positions + total)
            times.extend(_read_times(batch.column(name), positions) for name in time)
            total += batch.num_rows
        where = np.concatenate([np.empty(0, dtype=np.int64), *with_key])
        pairs = np.frombuffer(bytes(hashes), dtype=">u8").reshape(-1, 2).astype(np.uint64)
        order = np.lexsort((*([np.concatenate(times)] if times else []), pairs[:, 1], pairs[:, 0]))
        pairs = pairs[order]
        is_last = np.ones(len(pairs), dtype=bool)
        is_last[:-1] = (pairs[1:] != pairs[:-1]).any(axis=1)
        repeated = int((~is_last).sum())
        if repeated and not time:
            raise self._refuse(where[order], is_last)
        self.hashes: Pairs = pairs[is_last]
        self.places = np.full(total, -1, dtype=np.int64)
        self.places[where[order[is_last]]] = np.arange(len(self.hashes))
        self.example = self._read_key(int(where[0])) if len(where) else [None] * len(self._key)
        self.notes = [f"{total - len(where):,} rows have no key, and were left out."] if len(where) < total else []
        if repeated:
            self.notes.append(f"{repeated:,} rows were left out, since a later one has the same key.")

    def _refuse(self, ordered: npt.NDArray[np.int64], is_last: npt.NDArray[np.bool_]) -> errors.BadDataError:
        first = int(np.flatnonzero(~is_last)[0])
        pair = sorted((int(ordered[first]), int(ordered[first + 1])))
        values = zip(self._shown, self._read_key(pair[0]), strict=True)
        described = ", ".join(f"{name} {value!r}" for name, value in values)
        return errors.BadDataError(
            f"a key may come once, but {int((~is_last).sum()):,} rows have the key of another one, such as {described} "
            f"in rows {pair[0] + 1:,} and {pair[1] + 1:,} of the features; name the `time` by which the latest row is "
            "taken, or aggregate the dataset by the key first"
        )

    def _read_key(self, row: int) -> list[Any]:
        for batch in frames.iterate_batches(self._path, batch_rows=1, columns=self._key, first_row=row):
            [values] = batch.to_pylist()
            return [_to_json(values[name]) for name in self._key]
        raise errors.BadDataError("the table has fewer rows than before")


def _read_times(values: Any, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    if not pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us"))
    numbers = values.cast(pa.int64()).fill_null(_MISSING_TIME).to_numpy(zero_copy_only=False)
    taken: npt.NDArray[np.int64] = numbers[positions]
    return taken


def _to_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value
