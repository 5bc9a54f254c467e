"""What in a run decides about all of it: the states of its steps, and the failure because of which it fails."""

from shared.orchestration.language import document, plans, runs, scopes


def find_states(plan: plans.Plan, run: runs.Run) -> dict[str, str]:
    """Find the state of each step by those of its instances."""
    grouped = scopes.group(run.instances)
    return {name: scopes.join_states(each.state for each in grouped.get(name, ())) for name in plan.steps}


def may_retry(step: document.Step, instance: runs.Instance) -> bool:
    """Say whether a failed instance has attempts left."""
    return instance.retryable and 1 <= instance.attempt <= step.retry_policy.count


def find(plan: plans.Plan, run: runs.Run) -> runs.Instance | None:
    """Find the instance because of which the run fails: the first that ended badly for good and mayn't; else None."""
    bad = [each for each in run.instances if each.state in ("failed", "cancelled") and _counts(plan, each)]
    return min(bad, key=lambda each: run.now if each.since is None else each.since, default=None)


def _counts(plan: plans.Plan, instance: runs.Instance) -> bool:
    step = plan.steps[instance.step]
    if step.on_failure == "continue":
        return False
    return instance.state == "cancelled" or not may_retry(step, instance)


def name(instance: runs.Instance) -> str:
    """Name an instance in a sentence."""
    return instance.step if instance.index is None else f"{instance.step}[{instance.index}]"


def say_ended(state: str) -> str:
    """Say how something ended, as a verb."""
    return {"skipped": "was skipped", "cancelled": "was cancelled"}.get(state, state)
