"""What makes an experiment's figures untrustworthy, whatever they are."""

import dataclasses
from collections.abc import Sequence

from shared.prediction.experiments import sample_ratio
from shared.prediction.experiments.observed import Observed
from shared.prediction.experiments.sample_ratio import ChiSquaredTest

MOST_IN_TWO_ARMS = 0.01
"""The share of units in two arms from which a report says that the experiment is unhealthy."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health:
    """The checks of an experiment, what is wrong with it, and what is worth knowing."""

    arms: ChiSquaredTest
    feedback: ChiSquaredTest
    problems: list[str]
    warnings: list[str]


def check(observed: Observed, *, arms: Sequence[str]) -> Health:
    """Check an experiment: the arms' units against their weights, who has feedback, and who was in two arms."""
    ratio = sample_ratio.check_arms(_list_periods(observed, arms))
    shares = sample_ratio.check_equal_shares(
        having=[observed.count_with_feedback(arm) for arm in arms], units=[observed.count_units(arm) for arm in arms]
    )
    problems: list[str] = []
    warnings: list[str] = []
    if ratio.alarm:
        problems.append(
            "The arms did not get the units that their weights say (sample ratio mismatch); look for an arm that "
            "fails, or for units that are lost before they are counted."
        )
    if shares.alarm:
        problems.append(
            "Feedback comes from some arms more than from others, so that those with feedback can't be compared."
        )
    moved = observed.units_in_two_arms
    if moved > MOST_IN_TWO_ARMS * max(1, observed.count_units()):
        said = (
            f"{moved} units were in two arms; each counts for the one that it met first, so that effects look smaller."
        )
        (warnings if _have_weights_changed(observed) else problems).append(
            said if _have_weights_changed(observed) else f"{said} No weight was changed meanwhile."
        )
    changed = [arm for arm in arms if len(observed.versions.get(arm, ())) > 1]
    if changed:
        warnings.append(
            f"These arms have stood for several versions, whose units are taken together: {', '.join(changed)}."
        )
    return Health(arms=ratio, feedback=shares, problems=problems, warnings=warnings)


def _list_periods(observed: Observed, arms: Sequence[str]) -> list[sample_ratio.Period]:
    """List the units and weights of all arms for each division of the weights, however many revisions had it."""
    units: dict[tuple[float, ...], list[int]] = {}
    for cohort in observed.cohorts:
        weights = observed.weights.get(cohort.revision, {})
        division = tuple(weights.get(arm, 0.0) for arm in arms)
        units.setdefault(division, [0] * len(arms))[list(arms).index(cohort.arm)] += cohort.units
    return [sample_ratio.Period(units=counts, weights=division) for division, counts in units.items()]


def _have_weights_changed(observed: Observed) -> bool:
    return len({tuple(sorted(weights.items())) for weights in observed.weights.values()}) > 1
