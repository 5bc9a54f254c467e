"""When an experiment begins, goes on and ends, as the state of its deployment.

Units are hashed with the number of their experiment, so that each begins with every unit as a new one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.prediction.experiments.document import Experiment

_OWN = ("id", "started_at")


def follow(
    experiment: Experiment | None,
    *,
    before: Mapping[str, Any] | None,
    unit: str | None,
    arms: Sequence[str],
    references: Mapping[str, str],
    revision: int,
    at_ms: int,
) -> dict[str, Any] | None:
    """Build the state of an experiment: that of `before` where nothing but weights changed, else a new one's.

    `unit` is the column that says which unit a row is of. `arms` are the references of the routes as the deployment
    follows them, and `references` has these by the texts that the client wrote. `revision`, the one that this change
    will get, is the new experiment's id.
    """
    if experiment is None:
        return None
    state = {
        **experiment.model_dump(mode="json"),
        "control": references[experiment.control] if experiment.control else arms[0],
        "arms": sorted(arms),
        "unit": unit,
    }
    if before is not None and state == {name: value for name, value in before.items() if name not in _OWN}:
        return dict(before)
    return {**state, "id": revision, "started_at": at_ms}


def keep_on_return(earlier: Mapping[str, Any] | None, *, now: Mapping[str, Any] | None, arms: Sequence[str]) -> Any:
    """Return the experiment that a deployment has after it returned to an earlier state: the running one, or none.

    One that has ended doesn't begin again, since its units have met other arms meanwhile.
    """
    goes_on = earlier is not None and earlier == now and earlier["arms"] == sorted(arms)
    return dict(earlier) if earlier is not None and goes_on else None


def read_document(state: Mapping[str, Any]) -> Experiment:
    """Read what the client said of an experiment from its state."""
    return Experiment.model_validate({name: value for name, value in state.items() if name in Experiment.model_fields})
