"""Builds the ColumnTransformer of each stage of a plan."""

from collections.abc import Set
from typing import Any

from sklearn import compose, pipeline

from shared.ml import column_transformers, encoders, transformers
from shared.ml.recipes import builders
from shared.recipe import plans
from shared.recipe.categories import OneHot, Ordinal, TargetEncode
from shared.recipe.features import SelectFeatures
from shared.recipe.slots import Slot

Entry = tuple[str, Any, Any]
# scikit-learn's encoders, and those that use them; our own take exact integers as they are.
ENCODERS = (OneHot, Ordinal, TargetEncode)


def compile_stage(
    plan: plans.Plan, stage: plans.Stage, *, is_first: bool, exact: Set[str], makes_floats: bool = False
) -> compose.ColumnTransformer:
    """Build the unfitted transformer of a stage.

    The first stage finds its columns by their names. Later ones work on what the stage before has made, and find
    theirs when they are fitted, as positions, which other runtimes of scikit-learn models can use. `exact` are the
    dataset's columns whose integers may be exact; with `makes_floats` none is in the end.
    """
    entries: list[Entry] = []
    for number, branches in enumerate(group_branches(stage), start=1):
        inputs = [slot for branch in branches for slot in branch.inputs]
        transformer = _build_pipeline(plan, branches, exact) if branches[0].steps else "passthrough"
        if makes_floats and any(_may_be_exact(slot, exact) for branch in branches for slot in branch.outputs):
            transformer = _end_in_floats(transformer)
        # Stored models have these names, and those below.
        entries.append((f"part{number}", transformer, _choose_columns(stage, inputs, is_first=is_first)))
    have_indicator = {branch.inputs[0] for branch in stage.branches if branch.is_indicator}
    inputs = [slot for slot in stage.inputs if slot in have_indicator]
    if inputs:
        entries.append(("missing", transformers.Missing(), _choose_columns(stage, inputs, is_first=is_first)))
    return compose.ColumnTransformer(entries, remainder="drop", sparse_threshold=0, verbose_feature_names_out=False)


def group_branches(stage: plans.Stage) -> list[list[plans.Branch]]:
    """Group branches of the same steps, in the order of their input columns; branches that only add columns follow."""
    consuming = {branch.inputs[0]: branch for branch in stage.branches if branch.consumes}
    kept = set(stage.kept)
    groups: dict[tuple[int, ...], list[plans.Branch]] = {}
    for slot in stage.inputs:
        branch = consuming.get(slot) or (plans.Branch([slot], [slot]) if slot in kept else None)
        if branch is not None:
            groups.setdefault(tuple(branch.steps), []).append(branch)
    adding = [[branch] for branch in stage.branches if not branch.consumes and not branch.is_indicator]
    return [*groups.values(), *adding]


def list_numbers(plan: plans.Plan, branches: list[plans.Branch], exact: Set[str]) -> list[int]:
    """List the number of the step that each transformer of the pipeline of branches is part of."""
    return [number for number, _ in _build_steps(plan, branches, exact)]


def _build_pipeline(plan: plans.Plan, branches: list[plans.Branch], exact: Set[str]) -> pipeline.Pipeline:
    """Build the pipeline of branches that have the same steps."""
    steps = [
        (f"{position}_{plan.steps[number].op}", transformer)
        for position, (number, transformer) in enumerate(_build_steps(plan, branches, exact), start=1)
    ]
    # Frames between the steps keep the columns' names, which our own transformers need for their messages.
    return pipeline.Pipeline(steps).set_output(transform="pandas")


def _build_steps(plan: plans.Plan, branches: list[plans.Branch], exact: Set[str]) -> list[tuple[int, Any]]:
    """Build the transformers of branches that have the same steps, each with the number of its step."""
    steps: list[tuple[int, Any]] = []
    for index, number in enumerate(branches[0].steps):
        step = plan.steps[number]
        slots = [slot for branch in branches for slot in branch.step_inputs[index]]
        built = builders.build(step, slots)
        if any(_may_be_exact(slot, exact) for slot in slots):
            if isinstance(step, ENCODERS):
                built = [encoders.IntegerCategories(), *built]
            elif isinstance(step, SelectFeatures):
                # It passes on what it selects, as numbers.
                built = [transformers.Floats(), *built]
        steps += [(number, transformer) for transformer in built]
    return steps


def _may_be_exact(slot: Slot, exact: Set[str]) -> bool:
    return slot.type == "integer" and (slot.raw is None or slot.raw in exact)


def _end_in_floats(transformer: Any) -> Any:
    floats = transformers.Floats()
    if transformer == "passthrough":
        return floats
    return pipeline.Pipeline([*transformer.steps, (f"{len(transformer.steps) + 1}_floats", floats)]).set_output(
        transform="pandas"
    )


def _choose_columns(stage: plans.Stage, slots: list[Slot], *, is_first: bool) -> Any:
    if is_first and all(slot.stem is None and slot.certain for slot in slots):
        return [slot.name for slot in slots]
    chosen = set(slots)
    return column_transformers.Chosen(
        [slot.name for slot in slots],
        stems=[slot.stem for slot in slots if slot.stem],
        others=[slot.name for slot in stage.inputs if slot not in chosen and slot.stem is None],
    )
