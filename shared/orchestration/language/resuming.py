"""Resumes a run that has failed or was cancelled, with other parameters where they are given."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pydantic

from shared import contract, errors, suggestions
from shared.orchestration.language import document, located, parameters, parsing, plans, runs, scopes

_LEFT_OUT_BY_FAILURE = ("failure", "handler")


class StepEdit(contract.Document):
    """What is changed of a step."""

    params: dict[str, pydantic.JsonValue] = pydantic.Field(
        description="Parameters that take the place of those of these names; null for one that is to be left out."
    )


class Edits(contract.Document):
    """What is changed when a run is resumed."""

    params: dict[str, pydantic.JsonValue] = pydantic.Field(
        default={}, max_length=document.MAX_PARAMS, description="Parameters of the run with other values."
    )
    steps: dict[document.StepName, StepEdit] = pydantic.Field(
        default={}, max_length=document.MAX_STEPS, description="Steps with other parameters, which are done again."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resumption:
    """What is to be done with the run: the next `advance` then goes on from there.

    Instances that are reset become `waiting`, with attempt 0 and without result, error and `not_before`; those that are
    dropped are made again when their list is known anew. The run's `resumes` counts one more.
    """

    pipeline: document.Pipeline
    """The pipeline with the edited steps, which the run has from now on."""
    params: dict[str, Any]
    resets: list[runs.Key]
    drops: list[runs.Key]


def resume(
    pipeline: document.Pipeline,
    run: runs.Run,
    edits: Edits | None = None,
    *,
    kinds: Mapping[str, contract.Kind] | None = None,
) -> Resumption:
    """Say what is done again: what failed, was cancelled or left out for it, what is edited, and all that needs it.

    Raises InvalidRequestError for edits that the pipeline doesn't allow, ConflictError for a run in which nothing is to
    be done again.
    """
    edits = edits or Edits()
    params = parameters.bind(pipeline, {**run.params, **edits.params})
    edited = _edit(pipeline, edits, kinds=kinds)
    plan = plans.of(edited)
    again = {each.key for each in run.instances if _is_to_be_repeated(each)}
    again |= {each.key for each in run.instances if each.step in edits.steps}
    unfinished = [each.step for each in run.instances if each.state in ("waiting", "running")]
    if unfinished:
        raise errors.ConflictError(f"The run is still under way: {unfinished[0]} has not ended.")
    if not again:
        raise errors.ConflictError(
            "Nothing in this run failed, was cancelled or is edited, so nothing is to be done again."
        )
    steps = {step for step, _ in again}
    downstream = plan.list_downstream(steps)
    changed = {name for name, value in params.items() if value != run.params.get(name)}
    resets: list[runs.Key] = []
    drops: list[runs.Key] = []
    for name, instances in scopes.group(run.instances).items():
        if name not in steps | downstream:
            continue
        keys = [each.key for each in instances if name in downstream or each.key in again]
        is_dropped = plan.steps[name].for_each is not None and _list_may_change(
            plan, name, keys, changed=changed, repeated=steps | downstream
        )
        if is_dropped:
            drops += [each.key for each in instances]
        else:
            resets += keys
    return Resumption(pipeline=edited, params=params, resets=resets, drops=drops)


def _is_to_be_repeated(instance: runs.Instance) -> bool:
    if instance.state in ("failed", "cancelled"):
        return True
    return instance.state == "skipped" and instance.skip_cause in _LEFT_OUT_BY_FAILURE


def _list_may_change(
    plan: plans.Plan, name: str, keys: list[runs.Key], *, changed: set[str], repeated: set[str]
) -> bool:
    """Say whether a step's list may be another one now, or wasn't made at all."""
    used = plan.uses[name].for_each
    from_params = any(each.head == "params" and each.parts[0] in changed for each in used)
    return from_params or any(each.step in repeated for each in used) or (name, None) in keys


def _edit(pipeline: document.Pipeline, edits: Edits, *, kinds: Mapping[str, contract.Kind] | None) -> document.Pipeline:
    """Put the edited steps in, and check the whole as when it was sent."""
    if not edits.steps:
        return pipeline
    names = [step.name for step in pipeline.steps]
    problems = [
        errors.Problem(
            f"there is no step {name!r}; {suggestions.ask(suggestions.find_similar(name, names) or names[:5])}",
            located.to_pointer(("steps", name)),
        )
        for name in edits.steps
        if name not in names
    ]
    if problems:
        raise errors.InvalidRequestError(
            f"The edits name a step that isn't there: {problems[0]['detail']}", problems=problems
        )
    steps = [
        step.model_copy(update={"params": _merge(step.params, edits.steps[step.name].params)})
        if step.name in edits.steps
        else step
        for step in pipeline.steps
    ]
    edited = pipeline.model_copy(update={"steps": steps})
    parsing.check(edited, known_kinds=kinds)
    return edited


def _merge(params: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**params, **given}.items() if value is not None or name not in given}
