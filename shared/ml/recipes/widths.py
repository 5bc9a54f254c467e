"""Refuses recipes that would make tables too large for memory, before anything is fitted.

docs/decisions/models.md, "What a recipe would make is counted before it is fitted".
"""

import dataclasses
from collections.abc import Iterable, Mapping

import pandas as pd

from shared import contract, errors
from shared.ml.recipes import sequences, stages
from shared.recipe import planner, plans
from shared.recipe.categories import OneHot, TargetEncode
from shared.recipe.language import Recipe
from shared.recipe.slots import Slot
from shared.recipe.step import Step
from shared.recipe.texts import TextStep, Tfidf

MAX_COLUMNS = 20_000
# Fitting holds the recipe's output for all rows in memory; this many float64 values take 4 GiB.
MAX_CELLS = 1 << 29
# What a step on texts counts before it leaves anything out: each takes 8 bytes, and terms of their own a hundred.
MAX_SEQUENCES = 1 << 29
NUMBER_BYTES = 8


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is to be transformed: how many rows, in how many classes, and in how much memory, in bytes, if limited."""

    rows: int
    classes: int = 1
    max_bytes: int | None = None

    def exceeded_by(self, columns: int) -> bool:
        """Check whether so many columns of the rows are too many."""
        return columns > MAX_COLUMNS or columns * self.rows * NUMBER_BYTES > self._max_bytes

    def describe(self) -> str:
        """Describe the limits."""
        own = f" (the memory of this process, {self._max_bytes / 2**30:.1f} GiB)" if self._is_short else ""
        return f"at most {MAX_COLUMNS:,} columns and {self._max_bytes // NUMBER_BYTES:,} values{own} are allowed"

    @property
    def _max_bytes(self) -> int:
        most = MAX_CELLS * NUMBER_BYTES
        return most if self.max_bytes is None else min(most, self.max_bytes)

    @property
    def _is_short(self) -> bool:
        return self._max_bytes < MAX_CELLS * NUMBER_BYTES


def require_affordable(
    recipe: Recipe,
    frame: pd.DataFrame,
    *,
    columns: list[contract.Column],
    limits: Limits | None = None,
    table_wise: bool | None = None,
) -> None:
    """Raise LimitExceededError when a step would make too large a table of this frame of the dataset's columns.

    The message names the step, its widest column, how many columns it would make, and what makes them fewer. Categories
    are counted in the data, and terms of texts where the number that the step allows would be too many. `table_wise`:
    only the steps up to the last that looks at whole tables, or only those after it.
    """
    limits = limits or Limits(len(frame))
    plan = planner.make_plan(recipe, columns=columns)
    chosen = {None: plan.stages, True: plan.stages[: plan.table_stages], False: plan.stages[plan.table_stages :]}
    for counts_terms in (False, True):
        counter = _Counter(plan, frame, limits, counts_terms=counts_terms)
        for stage in plan.stages:
            counter.follow(stage)
        excess = next((excess for stage, excess in counter.excesses if stage in chosen[table_wise]), None)
        if excess is None:
            return
    raise errors.LimitExceededError(excess)


class _Counter:
    """Bounds the number of columns that each slot becomes, step by step, and describes where they are too many."""

    def __init__(self, plan: plans.Plan, frame: pd.DataFrame, limits: Limits, *, counts_terms: bool) -> None:
        self._plan = plan
        self._frame = frame
        self._limits = limits
        self._counts_terms = counts_terms
        self._widths: dict[Slot, int] = {}
        self._widened_by: dict[Slot, int] = {}
        self.excesses: list[tuple[plans.Stage, str]] = []

    def follow(self, stage: plans.Stage) -> None:
        """Bound what the steps of a stage make."""
        for branches in stages.group_branches(stage):
            for index in range(len(branches[0].steps)):
                made = [slot for branch in branches for slot in self._follow_step(branch, index)]
                self._require(stage, made)
        self._require(stage, stage.outputs)

    def _follow_step(self, branch: plans.Branch, index: int) -> list[Slot]:
        number = branch.steps[index]
        step, given = self._plan.steps[number], branch.step_inputs[index]
        is_last = index + 1 == len(branch.steps)
        made = branch.outputs if is_last else branch.step_inputs[index + 1]
        by_name = {slot.name: slot for slot in given}
        single = given[0] if len(given) == 1 and not getattr(step, "is_joint", False) else None
        for slot in made:
            before = by_name.get(slot.name) or single
            self._widths[slot] = self._bound(step, slot, before, given)
            if self._widths[slot] > (self.width_of(before) if before else 1) or len(made) > len(given):
                self._widened_by[slot] = number
            elif before in self._widened_by:
                self._widened_by[slot] = self._widened_by[before]
        return made

    def width_of(self, slot: Slot) -> int:
        """Return the most columns that a slot becomes."""
        return self._widths.get(slot, slot.width)

    def _bound(self, step: Step, slot: Slot, before: Slot | None, given: list[Slot]) -> int:
        if before is None:
            # The columns of a projection are at most those that it is made of.
            return min(slot.width, sum(map(self.width_of, given))) if slot.stem else slot.width
        factor = max(1, slot.width // before.width)
        values = self._frame.get(before.source) if before.source is not None and before.width == 1 else None
        if isinstance(step, TargetEncode):
            factor = self._limits.classes if self._limits.classes > 2 else 1
        elif isinstance(step, OneHot) and values is not None:
            factor = min(factor, _count_categories(step, values, is_raw=before.raw is not None))
        elif isinstance(step, Tfidf) and values is not None and self._counts_terms:
            factor = sequences.count_terms(step, values, most=factor)
        return self.width_of(before) * factor

    def _require(self, stage: plans.Stage, slots: Iterable[Slot]) -> None:
        widths = {slot: self.width_of(slot) for slot in slots}
        total = sum(widths.values())
        if not self._limits.exceeded_by(total):
            return
        by_step: dict[int, int] = {}
        for slot, width in widths.items():
            if slot in self._widened_by:
                by_step[self._widened_by[slot]] = by_step.get(self._widened_by[slot], 0) + width
        number = max(by_step, key=lambda key: by_step[key]) if by_step else None
        self.excesses.append((stage, self._describe(widths, total, number, by_step)))

    def _describe(self, widths: Mapping[Slot, int], total: int, number: int | None, by_step: Mapping[int, int]) -> str:
        rows, size = self._limits.rows, total * self._limits.rows * NUMBER_BYTES / 2**30
        if number is None:
            return (
                f"the recipe would make {total:,} columns of {rows:,} rows ({size:,.1f} GiB); "
                f"{self._limits.describe()}: drop columns, or leave out rows"
            )
        step = self._plan.steps[number]
        own = {slot.name: width for slot, width in widths.items() if self._widened_by.get(slot) == number}
        widest = max(own, key=lambda name: own[name])
        others = f", of {total:,} in all" if total > by_step[number] else ""
        return (
            f"step {number + 1} ({step.op}) would make up to {by_step[number]:,} columns{others}, {own[widest]:,} of "
            f"them of {widest!r}: with {rows:,} rows {size:,.1f} GiB; {self._limits.describe()}: {step.fewer_by}"
        )


def _count_categories(step: OneHot, values: pd.Series, *, is_raw: bool) -> int:
    """Count the columns of a column's categories; `min_frequency` is known to hold for unchanged values alone."""
    counts = values.value_counts(dropna=True)
    missing = int(values.isna().any())
    if step.min_frequency is None or not is_raw:
        return len(counts) + 1
    least = step.min_frequency if isinstance(step.min_frequency, int) else step.min_frequency * len(values)
    frequent = int((counts >= least).sum())
    return frequent + missing + int(frequent < len(counts))


def require_countable(recipe: Recipe, frame: pd.DataFrame, *, columns: list[contract.Column]) -> None:
    """Raise LimitExceededError when a step on texts would have to count too many sequences of a column's texts."""
    plan = planner.make_plan(recipe, columns=columns)
    for branch in (branch for stage in plan.stages for branch in stage.branches):
        for number, slots in zip(branch.steps, branch.step_inputs, strict=True):
            step = plan.steps[number]
            if not isinstance(step, TextStep):
                continue
            for slot in (slot for slot in slots if slot.source in frame.columns):
                if sequences.bound(step, frame[slot.source]) <= MAX_SEQUENCES:
                    continue
                count = sequences.count(step, frame[slot.source])
                if count > MAX_SEQUENCES:
                    raise errors.LimitExceededError(
                        f"step {number + 1} ({step.op}) would count up to {count:,} sequences in the texts of "
                        f"{slot.name!r}; at most {MAX_SEQUENCES:,} are allowed: give shorter `ngrams`"
                    )
