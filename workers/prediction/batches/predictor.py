"""Predicts batches of rows by the versions of a plan, and puts together what they say."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from shared import contract, errors
from shared.ml import frames, inference, predictions, signatures
from shared.ml.values import lost_values
from workers.prediction import columns
from workers.prediction.batches import places
from workers.prediction.batches.observations import AllObservations, Observations
from workers.prediction.batches.plan import Plan, PlannedVersion

VERSION = "prediction_version"


class _Version:
    """A version that has been loaded, with the columns that it adds."""

    def __init__(self, planned: PlannedVersion, *, prefix: str) -> None:
        self.label = planned.label
        self.signature = planned.signature
        self.model = inference.Model(
            Path(planned.path), sha256=planned.sha256, signature=planned.signature, problem=planned.problem
        )
        self.added = columns.describe_added(self.model, prefix=prefix)
        self.needed = signatures.list_columns(planned.signature)

    def predict(self, batch: pa.RecordBatch, rows: Any, *, first: int, observed: Observations) -> list[pa.Array]:
        """Predict the rows at some positions of a batch, or all, whose first row has the position `first`."""
        frame = frames.to_frame(observed.texts.convert(batch.select(self.needed)), first=first)
        if rows is not None:
            frame = frame.iloc[rows]
        with lost_values.counted(observed.losses):
            predicted = self.model.predict(frame)
        observed.observe(frame, non_finite=_count_non_finite(predicted))
        return self.added.to_arrays(predicted)


class Predictor:
    """The versions of a plan, loaded."""

    def __init__(self, plan: Plan) -> None:
        """Load the versions; BadDataError when two columns that they add would have one name."""
        self._plan = plan
        self._versions = [_Version(planned, prefix=plan.prefix) for planned in plan.versions]
        self._table = None if plan.split is None else places.tabulate(plan.split.routes)
        self.added = self._describe_added()
        self.batch_rows = plan.batch_rows or min(version.model.batch_rows for version in self._versions)
        self.observed = self.observe_nothing()

    def observe_nothing(self) -> AllObservations:
        """Begin to notice anew, and return what will be noticed from now on."""
        self.observed = AllObservations(
            [Observations(version.signature) for version in self._versions],
            [version.label for version in self._versions],
        )
        return self.observed

    def predict(self, batch: pa.RecordBatch, *, first: int) -> list[pa.Array]:
        """Predict the rows of a batch, of which the first has the position `first`: an array for each added column."""
        if self._plan.split is None or self._table is None:
            return self._versions[0].predict(batch, None, first=first, observed=self.observed.versions[0])
        chosen = self._table[self._find_places(batch, first=first)]
        parts = []
        for number, version in enumerate(self._versions):
            rows = np.flatnonzero(chosen == number)
            if len(rows):
                arrays = version.predict(batch, rows, first=first, observed=self.observed.versions[number])
                parts.append((rows, self._complete(version, arrays, len(rows))))
        if not parts:
            return [pa.array([], type=frames.PHYSICAL_TYPES[column.type]) for column in self.added]
        back = pa.array(np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable"))
        return [
            pa.concat_arrays([arrays[position] for _, arrays in parts]).take(back)
            for position in range(len(self.added))
        ]

    def _find_places(self, batch: pa.RecordBatch, *, first: int) -> places.Places:
        split = self._plan.split
        assert split is not None  # noqa: S101 - for the type checker.
        if split.sticky_key is None:
            return places.by_chance(start=first, count=batch.num_rows, seed=split.seed)
        return places.of_units(batch.column(split.sticky_key), seed=split.name)

    def _complete(self, version: _Version, arrays: list[pa.Array], count: int) -> list[pa.Array]:
        """Add the version's label, and nulls for columns that only others add."""
        given = {column.name: array for column, array in zip(version.added.columns, arrays, strict=True)}
        given[self.added[-1].name] = pa.array([version.label], pa.string()).take(pa.array(np.zeros(count, np.int64)))
        return [
            given[column.name] if column.name in given else pa.nulls(count, frames.PHYSICAL_TYPES[column.type])
            for column in self.added
        ]

    def _describe_added(self) -> list[contract.Column]:
        for version in self._versions:
            _require_unique([column.name for column in version.added.columns])
        if self._plan.split is None:
            return self._versions[0].added.columns
        by_name = {column.name: column for version in self._versions for column in version.added.columns}
        label = contract.Column(name=f"{self._plan.prefix}{VERSION}", type="string")
        added = [*by_name.values(), label]
        _require_unique([column.name for column in added])
        return added


def _require_unique(names: list[str]) -> None:
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise errors.BadDataError(
            f"two of the model's prediction columns would be called {duplicates[0]!r}; rename the labels"
        )


def _count_non_finite(predicted: predictions.Predictions) -> int:
    """Count the rows with a number that is not finite; such numbers become null in the dataset that is written."""
    is_non_finite = np.zeros(len(predicted.prediction), dtype=bool)
    for numbers in (
        predicted.prediction,
        predicted.probability,
        predicted.quantiles,
        predicted.lower,
        predicted.upper,
    ):
        if numbers is not None and numbers.dtype.kind == "f":
            is_non_finite |= ~np.isfinite(numbers.reshape(len(is_non_finite), -1)).all(axis=1)
    return int(is_non_finite.sum())
