"""Finds out which earlier rows the steps of a recipe may need, so that no others are held in memory."""

import dataclasses
import math
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shared import contract
from shared.ml import frames
from shared.ml.recipes import windows
from shared.recipe import planner
from shared.recipe.language import Recipe
from shared.recipe.tables import Lag, Rolling, Windowed

Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Reach:
    """What the steps that look at earlier rows have in common, as far as these are columns of the dataset.

    `by` are columns by which all of them group, `order` is the one by which all of them order, and `microseconds` is
    how far back they look one after another; None when a step counts rows. `rows` are how many rows each looks back,
    the last one first, when all of them count rows of the same groups and none is left out in between. Groups and times
    that no new row needs can be left out whole, without changing a bit of the results: windows are summed from fixed
    times or, those of rows, in blocks from the beginnings of groups, so that of these whole `blocks` can be left out.
    """

    by: tuple[str, ...]
    order: str | None
    microseconds: int | None
    rows: tuple[int, ...] | None
    blocks: int
    types: dict[str, contract.ColumnType]

    @classmethod
    def of(cls, recipe: Recipe, *, columns: list[contract.Column]) -> Self:
        """Find the reach of a recipe over these columns."""
        plan = planner.make_plan(recipe, columns=columns)
        table_wise = [stage for stage in plan.stages[: plan.table_stages] if stage.table_step is not None]
        steps = [
            (step, {slot.name: slot.raw for slot in stage.inputs})
            for stage in table_wise
            if isinstance(step := plan.steps[stage.table_step or 0], Windowed)
        ]
        groups = [{raw[name] for name in step.by} for step, raw in steps]
        orders = {raw[step.order] for step, raw in steps}
        order = orders.pop() if len(orders) == 1 else None
        spans = [_find_span(step) for step, _ in steps]
        in_time = [span for step, span in zip(steps, spans, strict=True) if _is_in_time(step[0])]
        is_alike = order is not None and None not in groups[0] and all(group == groups[0] for group in groups)
        counts_rows = is_alike and not in_time and len(steps) == len(table_wise)
        return cls(
            by=tuple(sorted(name for name in set.intersection(*groups) if name is not None)),
            order=order,
            microseconds=sum(in_time) if len(in_time) == len(steps) else None,
            rows=tuple(reversed(spans)) if counts_rows else None,
            blocks=math.lcm(*(step.window for step, _ in steps if isinstance(step, Rolling))),
            types={column.name: column.type for column in columns},
        )

    def bound(self, new: pa.Table) -> "Bounds":
        """Find which groups and times the rows of a table need."""
        # Numbers are equal in more ways than Arrow's look-ups know, such as 0.0 and -0.0.
        groups = {name: pc.unique(self.read(new, name)) for name in self.by if self.types[name] != "number"}
        if self.order is None:
            return Bounds(self, groups, None, None)
        bounds = pc.min_max(self.read(new, self.order))
        is_time = self.types[self.order] in frames.TEMPORAL and self.microseconds is not None
        return Bounds(self, groups, bounds["max"], bounds["min"] if is_time else None)

    def has_types(self, columns: list[contract.Column], names: list[str]) -> bool:
        """Check whether columns of these names have the types that the steps were fitted on."""
        types = {column.name: column.type for column in columns}
        return all(types[name] == self.types[name] for name in names)

    def read(self, table: pa.Table | pa.RecordBatch, name: str) -> pa.Array | pa.ChunkedArray:
        """Read a column as its type; dates are times."""
        type_ = self.types[name]
        values = table.column(name).cast(frames.PHYSICAL_TYPES[type_])
        return values.cast(frames.INSTANT) if type_ == "date" else values


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The groups that new rows are in, and their latest and earliest time, where these bound what is needed."""

    reach: Reach
    groups: dict[str, pa.Array]
    newest: pa.Scalar | None
    oldest: pa.Scalar | None

    def find_needed(self, batch: pa.RecordBatch, first: int = 0) -> Mask:  # noqa: ARG002 - Others need it.
        """Find the rows of a batch that new rows may need; all of them when its columns have other types."""
        needed = np.ones(batch.num_rows, dtype=bool)
        try:
            for name, values in self.groups.items():
                needed &= _to_mask(pc.is_in(self.reach.read(batch, name), value_set=values))
            if self.reach.order is not None and self.newest is not None:
                times = self.reach.read(batch, self.reach.order)
                # Rows of the new rows' own time are in nobody's past, but two rows of one time are worth a note.
                needed &= _to_mask(pc.less_equal(times, self.newest))
                if self.oldest is not None:
                    needed &= _to_mask(pc.greater_equal(times, self._earliest()))
        except pa.ArrowException:
            return np.ones(batch.num_rows, dtype=bool)
        return needed

    def _earliest(self) -> pa.Scalar:
        oldest = self.oldest.cast(pa.int64()).as_py() if self.oldest is not None else None
        if oldest is None:
            return pa.scalar(None, type=frames.INSTANT)
        return pa.scalar(max(oldest - (self.reach.microseconds or 0), -(2**62)), type=pa.int64()).cast(frames.INSTANT)


def _to_mask(values: pa.Array | pa.ChunkedArray) -> Mask:
    return np.asarray(pc.fill_null(values, fill_value=False).to_numpy(zero_copy_only=False), dtype=bool)


def _is_in_time(step: Windowed) -> bool:
    return isinstance(step, Rolling) and step.unit != "rows"


def _find_span(step: Windowed) -> int:
    """Find how far back a step looks, in rows or in microseconds."""
    match step:
        case Lag():
            return max(step.lags)
        case Rolling():
            return step.window * windows.UNIT_US.get(step.unit, 1)
    raise AssertionError(f"{step.op} does not say how far back it looks")


def find_last(keys: pd.DataFrame, *, past: int, reach: Reach) -> Mask:
    """Find which of the first `past` rows are near enough before the others of their group, which are the new ones.

    `keys` are the columns `by` and `order` of all rows.
    """
    rows = windows.SortedRows(keys, by=list(reach.by), order=reach.order or "")
    is_new = rows.rows >= past
    # Of each group, by its first place: where the rows of its first new row's time begin.
    first = np.full(len(rows.rows), len(rows.rows), dtype=np.int64)
    np.minimum.at(first, rows.begins[is_new], rows.ends[is_new])
    groups = np.unique(rows.begins[is_new])
    begins = first[groups]
    for count in reach.rows or ():
        begins = np.maximum(groups, begins - count)
        # A row has the windows of all rows of its own time.
        begins = rows.ends[np.minimum(begins, len(rows.rows) - 1)]
    cut = np.full(len(rows.rows), len(rows.rows), dtype=np.int64)
    cut[groups] = begins - (begins - groups) % reach.blocks
    needed = np.zeros(len(keys), dtype=bool)
    needed[rows.rows] = np.arange(len(rows.rows)) >= cut[rows.begins]
    return needed[:past]
