"""Goes through the steps of a run once, in the order of their needs, and decides on each."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson

from shared import contract
from shared.orchestration.language import (
    causes,
    condition_values,
    document,
    plans,
    references,
    runs,
    scopes,
    shapes,
    values,
)

_MAX_BYTES = 16 * 1024 * 1024
"""After how many bytes of parameters, as JSON, the other submissions are left for the next decision."""


@dataclasses.dataclass(frozen=True)
class _Why:
    """Why a step is skipped."""

    cause: runs.SkipCause
    reason: str


_NOT_YET = _Why("needs", "")
"""Stands for a step that may still begin, when what it needs has ended."""


class Pass:
    """One pass through a run; it is made for one decision."""

    def __init__(
        self, plan: plans.Plan, run: runs.Run, *, kinds: Mapping[str, contract.Kind], max_submissions: int
    ) -> None:
        """Take the run, the kinds that its steps may be of, and how many jobs to decide on at most."""
        self._plan = plan
        self._run = run
        self._kinds = kinds
        self._max_submissions = max_submissions
        self._grouped = scopes.group(run.instances)
        self._states: dict[str, str] = {}
        self._scope = scopes.Scope(plan, run, states=self._states, instances=self._grouped)
        self._cause = causes.find(plan, run)
        self._items_left = document.MAX_ITEMS - sum(each.index is not None for each in run.instances)
        self._decision = runs.Decision()
        self._bytes = 0

    def decide(self) -> runs.Decision:
        """Go through the steps, and return what is to be done."""
        states = self._states
        for name, step in self._plan.steps.items():
            instances = self._grouped.get(name, ())
            state = instances[0].state if len(instances) == 1 else scopes.join_states(each.state for each in instances)
            # Most steps of a long run have ended, or need what hasn't, so these are told by a look.
            if state == "waiting" and instances and self._must_wait(name):
                states[name] = state
            elif state not in runs.ENDED or state == "failed":
                states[name] = self._decide_step(step, instances)
            else:
                states[name] = state
        decision = self._decision
        if self._cause is None and any(self._matters(failure) for failure in decision.failures):
            # Nothing new begins after a failure, and this one wasn't known when the steps before it were looked at.
            decision.submissions.clear()
            decision.again = True
        if not decision.again and all(state in runs.ENDED for state in self._states.values()):
            decision.ending = self._end()
        return decision

    def _must_wait(self, name: str) -> bool:
        """Say whether a step whose instances all wait goes on doing so."""
        if self._cause is not None or self._run.cancel_requested:
            return False
        states = self._states
        return any(states[needed] not in runs.ENDED for needed in self._plan.needs[name])

    def _matters(self, failure: runs.Failure) -> bool:
        return self._plan.steps[failure.step].on_failure != "continue"

    def _decide_step(self, step: document.Step, instances: Sequence[runs.Instance]) -> str:
        """Decide on a step and return its state as the decision leaves it."""
        if not instances:
            if step.for_each is not None and not self._run.cancel_requested:
                return self._decide_list(step)
            instances = [self._create(runs.Instance(step=step.name, since=self._run.now))]
        after = [self._decide_failed(step, each) if each.state == "failed" else each.state for each in instances]
        if "waiting" in after or (self._run.cancel_requested and "running" in after):
            waiting = [each for each in instances if each.state == "waiting"]
            running = [each for each in instances if each.state == "running"]
            after = [state for state in after if state not in ("waiting", "running")]
            # Those that wait to be tried again from now on are neither.
            again = sum(each.state == "failed" for each in instances) - after.count("failed")
            after += ["waiting"] * again + self._decide_open(step, waiting, running)
        return scopes.join_states(after)

    def _decide_failed(self, step: document.Step, instance: runs.Instance) -> str:
        if self._cause is not None or self._run.cancel_requested or not causes.may_retry(step, instance):
            return "failed"
        wait_seconds = step.retry_policy.wait_before(instance.attempt)
        not_before = self._run.now + wait_seconds * 1000
        self._decision.retries.append(
            runs.Retry(
                step=step.name,
                index=instance.index,
                attempt=instance.attempt + 1,
                wait_seconds=wait_seconds,
                not_before=not_before,
            )
        )
        self._wake_at(not_before)
        self._decision.again |= wait_seconds == 0
        return "waiting"

    def _decide_open(
        self, step: document.Step, waiting: Sequence[runs.Instance], running: Sequence[runs.Instance]
    ) -> list[str]:
        """Decide on what waits or runs, and return the states."""
        if self._run.cancel_requested:
            for each in (*waiting, *running):
                is_running = each.state == "running"
                self._decision.cancels.append(runs.Cancel(step=each.step, index=each.index, is_running=is_running))
            return ["cancelled"] * len(waiting) + ["running"] * len(running)
        gate = self._find_gate(step)
        if gate is _NOT_YET:
            return ["waiting"] * len(waiting) + ["running"] * len(running)
        if gate is not None:
            for each in waiting:
                self._skip(each, gate)
            return ["skipped"] * len(waiting) + ["running"] * len(running)
        return [self._begin(step, each) for each in waiting] + ["running"] * len(running)

    def _find_gate(self, step: document.Step) -> _Why | None:
        """Say whether a step may begin: None when it may, `_NOT_YET` when it must wait, else why it never will."""
        handled = self._plan.handled.get(step.name, frozenset())
        if self._cause is not None and not handled:
            return _Why(
                "failure", f"nothing new began after {causes.name(self._cause)} {causes.say_ended(self._cause.state)}"
            )
        needs = self._plan.needs[step.name]
        if any(self._states[needed] not in runs.ENDED for needed in needs):
            return _NOT_YET
        if handled and not any(self._states[name] in ("failed", "cancelled") for name in handled):
            return _Why("handler", f"it runs only when {' or '.join(sorted(handled))} fails, which didn't happen")
        for needed in needs:
            if needed not in handled and not self._accepts(step, needed):
                return _Why("needs", f"it needs {needed}, which {causes.say_ended(self._states[needed])}")
        return None

    def _accepts(self, step: document.Step, needed: str) -> bool:
        state, uses = self._states[needed], self._plan.uses[step.name]
        if state == "succeeded":
            return True
        if needed in uses.taken:
            return False
        return needed in uses.asked or (state != "skipped" and self._plan.steps[needed].on_failure == "continue")

    def _decide_list(self, step: document.Step) -> str:
        """Make a step's items once its list is known, and decide on them."""
        unmade = runs.Instance(step=step.name, since=self._run.now)
        gate = self._find_gate(step)
        if gate is _NOT_YET:
            return "waiting"
        try:
            skip = gate or self._ask(step, unmade, per_item=False)
            items = [] if skip else self._list_items(step)
        except ValueError as error:
            return self._fail(self._create(unmade), str(error))
        if skip is not None:
            self._skip(self._create(unmade), skip)
            return "skipped"
        if not items:
            return self._create(dataclasses.replace(unmade, state="succeeded", result=[])).state
        created = [
            self._create(dataclasses.replace(unmade, index=index, item=item)) for index, item in enumerate(items)
        ]
        return scopes.join_states([self._begin(step, each) for each in created])

    def _list_items(self, step: document.Step) -> list[Any]:
        items = values.resolve(step.for_each, self._scope.find, wants=lambda _: False)
        if not isinstance(items, list):
            raise ValueError(f"`for_each` needs a list, and {step.for_each} is {values.describe(items)}")
        if len(items) > self._items_left:
            raise ValueError(
                f"`for_each` has {len(items)} items, and the run has room for {self._items_left} more; a run has at "
                f"most {document.MAX_ITEMS}"
            )
        self._items_left -= len(items)
        return items

    def _ask(self, step: document.Step, instance: runs.Instance, *, per_item: bool) -> _Why | None:
        """Ask a step's condition, if it has one that is about items or not, as is said; a skip when it is false."""
        uses = self._plan.uses[step.name]
        if uses.condition is None or uses.per_item != per_item:
            return None

        def look_up(reference: references.Reference) -> Any:
            if instance.index is None:
                return self._scope.find_or_null(reference)
            return self._scope.find_or_null(reference, item=instance.item)

        try:
            holds = condition_values.holds(uses.condition, look_up)
        except ValueError as error:
            raise ValueError(f"`when` can't be told: {error}") from error
        return None if holds else _Why("when", f"`when` is false: {step.when}")

    def _begin(self, step: document.Step, instance: runs.Instance) -> str:
        """Submit a waiting instance whose step may begin, if it isn't to be skipped or to wait longer."""
        if instance.not_before is not None and instance.not_before > self._run.now:
            self._wake_at(instance.not_before)
            return "waiting"
        if len(self._decision.submissions) >= self._max_submissions or self._bytes >= _MAX_BYTES:
            self._decision.again = True
            return "waiting"
        try:
            # What was asked before the first attempt, or before the items were made, stays decided.
            asks = instance.attempt == 0
            skip = self._ask(step, instance, per_item=instance.index is not None) if asks else None
            if skip is not None:
                self._skip(instance, skip)
                return "skipped"
            params = self._resolve(step, instance)
        except ValueError as error:
            return self._fail(instance, str(error))
        attempt = instance.attempt + 1
        self._bytes += len(orjson.dumps(params))
        item = "" if instance.index is None else f"[{instance.index}]"
        self._decision.submissions.append(
            runs.Submission(
                step=step.name,
                index=instance.index,
                attempt=attempt,
                kind=step.kind,
                params=params,
                timeout_seconds=step.timeout_seconds,
                key=f"{self._run.id}:{self._run.resumes}:{step.name}{item}:{attempt}",
            )
        )
        return "running"

    def _resolve(self, step: document.Step, instance: runs.Instance) -> dict[str, Any]:
        kind = self._kinds.get(step.kind)

        def look_up(reference: references.Reference) -> Any:
            if instance.index is None:
                return self._scope.find(reference)
            return self._scope.find(reference, item=instance.item)

        def wants(path: tuple[str | int, ...]) -> bool:
            return kind is not None and shapes.find_reference(shapes.find(kind.command, path)) is not None

        resolved: dict[str, Any] = values.resolve(step.params, look_up, wants=wants)
        return resolved

    def _create(self, instance: runs.Instance) -> runs.Instance:
        self._decision.created.append(instance)
        return instance

    def _skip(self, instance: runs.Instance, why: _Why) -> None:
        self._decision.skips.append(
            runs.Skip(step=instance.step, index=instance.index, cause=why.cause, reason=why.reason)
        )

    def _fail(self, instance: runs.Instance, error: str) -> str:
        self._decision.failures.append(runs.Failure(step=instance.step, index=instance.index, error=error))
        return "failed"

    def _wake_at(self, moment: int) -> None:
        earlier = self._decision.next_at
        self._decision.next_at = moment if earlier is None else min(earlier, moment)

    def _end(self) -> runs.Ending:
        if self._run.cancel_requested and (
            self._decision.cancels or any(map(self._was_cut_short, self._run.instances))
        ):
            return runs.Ending(state="cancelled", reason="cancelling was requested")
        cause = self._cause
        if cause is None:
            return runs.Ending(state="succeeded")
        reason = f"{causes.name(cause)} {causes.say_ended(cause.state)}" + (f": {cause.error}" if cause.error else "")
        state: Literal["failed", "cancelled"] = "failed" if cause.state == "failed" else "cancelled"
        return runs.Ending(state=state, step=cause.step, index=cause.index, reason=reason)

    def _was_cut_short(self, instance: runs.Instance) -> bool:
        """Say whether an instance was cancelled, or would be tried again if the run weren't cancelled."""
        is_failed = instance.state == "failed"
        return instance.state == "cancelled" or (
            is_failed and causes.may_retry(self._plan.steps[instance.step], instance)
        )
