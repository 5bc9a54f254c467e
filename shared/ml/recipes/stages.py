"""Builds the ColumnTransformer of each stage of a plan."""

from typing import Any

from sklearn import compose, pipeline

from shared.ml import column_transformers, transformers
from shared.ml.recipes import builders
from shared.recipe import plans
from shared.recipe.slots import Slot

Entry = tuple[str, Any, Any]


def compile_stage(plan: plans.Plan, stage: plans.Stage, *, is_first: bool) -> compose.ColumnTransformer:
    """Build the unfitted transformer of a stage.

    The first stage finds its columns by their names. Later ones work on what the stage before has made, and find
    theirs when they are fitted, as positions, which other runtimes of scikit-learn models can use.
    """
    entries: list[Entry] = []
    for number, branches in enumerate(_group_branches(stage), start=1):
        inputs = [slot for branch in branches for slot in branch.inputs]
        transformer = _build_pipeline(plan, branches) if branches[0].steps else "passthrough"
        # Stored models have these names, and those below.
        entries.append((f"part{number}", transformer, _choose_columns(stage, inputs, is_first=is_first)))
    have_indicator = {branch.inputs[0] for branch in stage.branches if branch.is_indicator}
    inputs = [slot for slot in stage.inputs if slot in have_indicator]
    if inputs:
        entries.append(("missing", transformers.Missing(), _choose_columns(stage, inputs, is_first=is_first)))
    return compose.ColumnTransformer(entries, remainder="drop", sparse_threshold=0, verbose_feature_names_out=False)


def _group_branches(stage: plans.Stage) -> list[list[plans.Branch]]:
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


def _build_pipeline(plan: plans.Plan, branches: list[plans.Branch]) -> pipeline.Pipeline:
    """Build the pipeline of branches that have the same steps."""
    steps: list[tuple[str, Any]] = []
    for index, number in enumerate(branches[0].steps):
        step = plan.steps[number]
        slots = [slot for branch in branches for slot in branch.step_inputs[index]]
        built = enumerate(builders.build(step, slots), start=len(steps) + 1)
        steps += [(f"{position}_{step.op}", transformer) for position, transformer in built]
    # Frames between the steps keep the columns' names, which our own transformers need for their messages.
    return pipeline.Pipeline(steps).set_output(transform="pandas")


def _choose_columns(stage: plans.Stage, slots: list[Slot], *, is_first: bool) -> Any:
    if is_first and all(slot.stem is None and slot.certain for slot in slots):
        return [slot.name for slot in slots]
    chosen = set(slots)
    return column_transformers.Chosen(
        [slot.name for slot in slots],
        stems=[slot.stem for slot in slots if slot.stem],
        others=[slot.name for slot in stage.inputs if slot not in chosen and slot.stem is None],
    )
