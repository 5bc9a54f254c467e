"""Makes a ColumnTransformer of each stage of a plan."""

from typing import Any

from sklearn import compose, pipeline

from shared.ml import column_transformers, transformers
from shared.ml.recipes import builders
from shared.recipe import plans
from shared.recipe.slots import Slot

Entry = tuple[str, Any, Any]


def compile_stage(plan: plans.Plan, stage: plans.Stage, *, is_first: bool) -> compose.ColumnTransformer:
    """Make the unfitted transformer of a stage.

    The first stage finds its columns by their names. Later ones work on what the one before has made, and find theirs
    when they are fitted, as places, which other runtimes of scikit-learn models can follow.
    """
    entries: list[Entry] = []
    for number, parts in enumerate(_groups(stage), start=1):
        taken = [slot for part in parts for slot in part.takes]
        made = _chain(plan, parts) if parts[0].steps else "passthrough"
        entries.append((f"part{number}", made, _columns(stage, taken, is_first=is_first)))
    flags = {part.takes[0] for part in stage.parts if part.is_flag}
    flagged = [slot for slot in stage.inputs if slot in flags]
    if flagged:
        entries.append(("missing", transformers.Missing(), _columns(stage, flagged, is_first=is_first)))
    return compose.ColumnTransformer(entries, remainder="drop", sparse_threshold=0, verbose_feature_names_out=False)


def _groups(stage: plans.Stage) -> list[list[plans.Part]]:
    """Put parts of the same steps together, in the order of the columns that they take; then those that add columns."""
    consuming = {part.takes[0]: part for part in stage.parts if part.consumes}
    kept = set(stage.kept)
    groups: dict[tuple[int, ...], list[plans.Part]] = {}
    for slot in stage.inputs:
        part = consuming.get(slot) or (plans.Part([slot], [slot]) if slot in kept else None)
        if part is not None:
            groups.setdefault(tuple(part.steps), []).append(part)
    adding = [[part] for part in stage.parts if not part.consumes and not part.is_flag]
    return [*groups.values(), *adding]


def _chain(plan: plans.Plan, parts: list[plans.Part]) -> pipeline.Pipeline:
    """Make the pipeline of parts that have the same steps."""
    made: list[tuple[str, Any]] = []
    for place, number in enumerate(parts[0].steps):
        step = plan.steps[number]
        seen = [slot for part in parts for slot in part.seen[place]]
        made += [(f"{len(made) + n}_{step.op}", one) for n, one in enumerate(builders.build(step, seen), start=1)]
    # Frames between the steps keep the columns' names, which our own transformers need for their messages.
    return pipeline.Pipeline(made).set_output(transform="pandas")


def _columns(stage: plans.Stage, wanted: list[Slot], *, is_first: bool) -> Any:
    if is_first and all(slot.stem is None and slot.sure for slot in wanted):
        return [slot.name for slot in wanted]
    chosen = set(wanted)
    return column_transformers.Chosen(
        [slot.name for slot in wanted],
        stems=[slot.stem for slot in wanted if slot.stem],
        others=[slot.name for slot in stage.inputs if slot not in chosen and slot.stem is None],
    )
