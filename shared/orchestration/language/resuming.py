"""Resumes a run that has failed or was cancelled, with other parameters where they are given."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pydantic

from shared import contract, errors, suggestions
from shared.orchestration.language import document, located, parameters, parsing, plans, references, runs, scopes

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
    previous: document.Pipeline | None = None,
    kinds: Mapping[str, contract.Kind] | None = None,
) -> Resumption:
    """Say what is done again: what failed, was cancelled or left out for it, what is edited, and all that needs it.

    When the run goes on with another version of its pipeline, `previous` is the one that it had: steps that differ are
    done again, and those that are gone are dropped. Raises InvalidRequestError for edits that the pipeline doesn't
    allow, ConflictError for a run that is under way and for one in which nothing is to be done again.
    """
    edits = edits or Edits()
    kept = {name: value for name, value in run.params.items() if previous is None or name in pipeline.params}
    params = parameters.bind(pipeline, {**kept, **edits.params})
    edited = _edit(pipeline, edits, kinds=kinds)
    return _Resuming(plans.of(edited), run, params, redone=set(edits.steps) | _find_changed(previous, edited)).resume()


def _find_changed(previous: document.Pipeline | None, pipeline: document.Pipeline) -> set[str]:
    """Find the steps that another version has changed or added."""
    if previous is None:
        return set()
    before = {step.name: step for step in previous.steps}
    return {step.name for step in pipeline.steps if before.get(step.name) != step}


class _Resuming:
    """Sorts the instances of a run by what becomes of them."""

    def __init__(self, plan: plans.Plan, run: runs.Run, params: dict[str, Any], *, redone: set[str]) -> None:
        self._plan = plan
        self._run = run
        self._params = params
        self._redone = redone
        """Steps that are done again because they are other ones now."""
        names = params.keys() | run.params.keys()
        self._changed = {name for name in names if params.get(name) != run.params.get(name)}

    def resume(self) -> Resumption:
        unfinished = [each.step for each in self._run.instances if each.state in ("waiting", "running")]
        if unfinished:
            raise errors.ConflictError(f"The run is still under way: {unfinished[0]} has not ended.")
        known = [each for each in self._run.instances if each.step in self._plan.steps]
        again = {each.key for each in known if self._is_done_again(each)}
        steps = {step for step, _ in again} | self._redone
        if not steps:
            raise errors.ConflictError(
                "Nothing in this run failed, was cancelled or is edited, so nothing is to be done again."
            )
        downstream = self._plan.list_downstream(steps)
        resets: list[runs.Key] = []
        drops = [each.key for each in self._run.instances if each.step not in self._plan.steps]
        for name, instances in scopes.group(known).items():
            keys = [each.key for each in instances if name in downstream or each.key in again]
            if keys and self._is_made_anew(name, keys, repeated=steps | downstream):
                drops += [each.key for each in instances]
            else:
                resets += keys
        return Resumption(pipeline=self._plan.pipeline, params=self._params, resets=resets, drops=drops)

    def _is_done_again(self, instance: runs.Instance) -> bool:
        if instance.state in ("failed", "cancelled") or instance.step in self._redone:
            return True
        if instance.skip_cause == "when":
            return any(map(self._is_changed, self._plan.uses[instance.step].when))
        return instance.state == "skipped" and instance.skip_cause in _LEFT_OUT_BY_FAILURE

    def _is_changed(self, reference: references.Reference) -> bool:
        return reference.head == "params" and reference.parts[0] in self._changed

    def _is_made_anew(self, name: str, keys: list[runs.Key], *, repeated: set[str]) -> bool:
        """Say whether a step's list may be another one now, wasn't made at all, or has come or gone."""
        if self._plan.steps[name].for_each is None:
            return any(index is not None for _, index in keys)
        used = self._plan.uses[name].for_each
        if name in self._redone or (name, None) in keys or any(map(self._is_changed, used)):
            return True
        return any(each.step in repeated for each in used)


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
