"""What a run that succeeded results in."""

from collections.abc import Iterable
from typing import Any

import orjson

from shared.orchestration.contract import MAX_OUTPUT_BYTES, PipelineRun, StepSummary
from shared.orchestration.language import causes, plans
from shared.orchestration.language.runs import Instance, Run


def summarize(pipeline: str, version: int, plan: plans.Plan, run: Run) -> PipelineRun:
    """Summarize a run: the states of its steps, and the results of those without items as far as there is room."""
    states = causes.find_states(plan, run)
    items = _count_items(run.instances)
    outputs: dict[str, Any] = {}
    left_out = []
    room = MAX_OUTPUT_BYTES
    for instance in run.instances:
        if instance.state != "succeeded" or instance.step in items:
            continue
        size = len(orjson.dumps(instance.result))
        if size <= room:
            outputs[instance.step] = instance.result
            room -= size
        else:
            left_out.append(instance.step)
    steps = {name: StepSummary.model_validate({"state": states[name], "items": items.get(name)}) for name in plan.steps}
    return PipelineRun(pipeline=pipeline, version=version, steps=steps, outputs=outputs, left_out=left_out)


def _count_items(instances: Iterable[Instance]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for instance in instances:
        if instance.index is not None:
            counts[instance.step] = counts.get(instance.step, 0) + 1
    return counts
