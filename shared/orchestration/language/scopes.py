"""What references stand for in a run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.orchestration.language import plans, references, runs, values

_NO_ITEM = object()
Grouped = Mapping[str, Sequence[runs.Instance]]
"""The instances of a run, by their steps."""


def join_states(states: Iterable[str]) -> str:
    """Say of a step's instances, by their states, in which the step is: ended only when they all have."""
    distinct = set(states)
    if not distinct <= runs.ENDED:
        return "running" if distinct - {"waiting"} else "waiting"
    for state in ("failed", "cancelled", "succeeded"):
        if state in distinct:
            return state
    return "skipped" if distinct else "waiting"


class Scope:
    """The values of one run: its parameters, and the results and states of its steps that have ended."""

    def __init__(self, plan: plans.Plan, run: runs.Run, *, states: Mapping[str, str], instances: Grouped) -> None:
        """Take the run and its grouped instances; `states` are those of its steps, and may be filled in later."""
        self._plan = plan
        self._run = run
        self._states = states
        self._instances = instances

    def find(self, reference: references.Reference, *, item: Any = _NO_ITEM) -> Any:
        """Return what a reference stands for; ValueError, with what there is, when that isn't there."""
        if reference.head == "params":
            return values.follow(self._run.params, reference)
        if reference.head == "run":
            return values.follow({"id": self._run.id, "at": self._run.at}, reference)
        if reference.head == "item":
            if item is _NO_ITEM:
                raise ValueError(f"${{{reference}}} is not there: the step has no `for_each`")
            return values.follow(item, reference)
        if not reference.takes_result:
            found = {references.STATE: self._states.get(reference.head), references.ERROR: self._error(reference.head)}
            return values.follow(found, reference)
        return values.follow(self._result(reference.head), reference)

    def find_or_null(self, reference: references.Reference, *, item: Any = _NO_ITEM) -> Any:
        """Return what a reference stands for, as conditions see it: None when that isn't there."""
        try:
            return self.find(reference, item=item)
        except ValueError:
            return None

    def _error(self, step: str) -> str | None:
        return next((each.error for each in self._instances.get(step, ()) if each.error is not None), None)

    def _result(self, step: str) -> Any:
        instances = self._instances.get(step, ())
        if self._plan.steps[step].for_each is None:
            if not instances or instances[0].state != "succeeded":
                raise ValueError(f"the step {step!r} has no result: it is {self._states.get(step, 'waiting')}")
            return instances[0].result
        # The result of an empty list's only instance is the list of the results of its items.
        by_index = {
            each.index: each.result for each in instances if each.index is not None and each.state == "succeeded"
        }
        return [by_index[index] for index in sorted(by_index)]


def group(instances: Iterable[runs.Instance]) -> Grouped:
    """Group instances by their steps."""
    grouped: dict[str, list[runs.Instance]] = {}
    for instance in instances:
        grouped.setdefault(instance.step, []).append(instance)
    return grouped
