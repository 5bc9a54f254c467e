"""Decides what comes next in a run: the state machine of runs, which reads a run and changes nothing.

Whoever keeps the run writes the decision into its rows, submits the jobs, tells it of their ends, and asks again: when
an instance has ended, when cancelling is requested, at `next_at`, and at once when the decision says `again`. Asking
twice of the same run gives the same decision.

- A step begins when all it needs has ended. It is skipped when one of them failed or was skipped, unless that one may
  fail (`on_failure: continue`) and isn't needed for its result, or its own `when` asks about it and so decides.
- After a failure that isn't to be passed over nothing new begins, no retry either, but the steps that handle it; what
  is running comes to its end, and then the run has failed.
- A cancelled run ends when what is running has ended.
"""

from collections.abc import Mapping
from typing import Any

from shared import contract
from shared import kinds as installed
from shared.orchestration.language import causes, document, plans, runs, stepping
from shared.orchestration.language.runs import Decision, Instance, Run, WaitingFor

__all__ = ["Decision", "Instance", "Run", "advance", "explain"]
MAX_SUBMISSIONS = 500


def advance(
    pipeline: document.Pipeline | plans.Plan,
    run: Run,
    *,
    kinds: Mapping[str, contract.Kind] | None = None,
    max_submissions: int = MAX_SUBMISSIONS,
) -> Decision:
    """Decide what is to be done with a run of a valid pipeline; `kinds` are those that clients may submit, when None.

    At most `max_submissions` are decided on at a time.
    """
    plan = pipeline if isinstance(pipeline, plans.Plan) else plans.of(pipeline)
    available = installed.public_by_name() if kinds is None else kinds
    return stepping.Pass(plan, run, kinds=available, max_submissions=max_submissions).decide()


def explain(pipeline: document.Pipeline | plans.Plan, run: Run) -> dict[runs.Key, WaitingFor]:
    """Say of each instance that waits, or has yet to be made, what it waits for and since when."""
    plan = pipeline if isinstance(pipeline, plans.Plan) else plans.of(pipeline)
    states = causes.find_states(plan, run)
    waiting: dict[runs.Key, WaitingFor] = {
        (name, None): _explain_needs(plan, name, states, since=run.started_at)
        for name, state in states.items()
        if state == "waiting"
    }
    for instance in run.instances:
        if instance.state != "waiting":
            continue
        waiting.pop((instance.step, None), None)
        waiting[instance.key] = _explain_instance(plan, instance, states, run)
    return waiting


def _explain_instance(plan: plans.Plan, instance: Instance, states: Mapping[str, str], run: Run) -> WaitingFor:
    since = run.started_at if instance.since is None else instance.since
    if instance.not_before is not None and instance.not_before > run.now:
        seconds = (instance.not_before - run.now + 999) // 1000
        reason = f": {instance.error}" if instance.error else ""
        detail = f"attempt {instance.attempt} failed{reason}; the next begins in {seconds} s"
        return WaitingFor(kind="retry", detail=detail, since=since)
    return _explain_needs(plan, instance.step, states, since=since)


def _explain_needs(plan: plans.Plan, name: str, states: Mapping[str, Any], *, since: int) -> WaitingFor:
    missing = [needed for needed in plan.needs[name] if states[needed] not in runs.ENDED]
    if not missing:
        return WaitingFor(kind="submission", detail="all it needs has ended; it is about to begin", since=since)
    listed = ", ".join(f"{needed} ({states[needed]})" for needed in missing[:10])
    more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
    return WaitingFor(kind="needs", detail=f"waits for {listed}{more}", since=since)
