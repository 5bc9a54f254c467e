"""What was observed of an experiment, as sums: all that its report is computed from."""

import dataclasses
from collections.abc import Mapping, Sequence

from shared.prediction.experiments.sums import Sums

DAY_MS = 86_400_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cohort:
    """The units that were first seen on one day, in one arm, at one revision of the deployment.

    A unit in two arms belongs to the one that it met first, with all that came of it: where chance had sent it is the
    only thing that can't depend on what the arms did. So cohorts share no unit, and their sums add up.
    """

    day: int
    """Days since 1970, in UTC."""
    arm: str
    revision: int
    units: int
    units_with_feedback: int
    sums: Sequence[Sums]
    """One for each metric: the goal, then the guardrails."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observed:
    """An experiment's figures at one time."""

    cohorts: Sequence[Cohort]
    weights: Mapping[int, Mapping[str, float]]
    """The weights of the arms, by revision."""
    versions: Mapping[str, Sequence[int]]
    """The versions that each arm has stood for."""
    units_in_two_arms: int
    delays_seconds: Mapping[str, Mapping[str, float]]
    """How long feedback took after the prediction, as quantiles by their names, for each arm that has feedback."""
    at_ms: int

    def count_units(self, arm: str | None = None) -> int:
        """Count the units of an arm, or of all."""
        return sum(cohort.units for cohort in self.cohorts if arm in {None, cohort.arm})

    def count_with_feedback(self, arm: str) -> int:
        """Count the units of an arm that have feedback."""
        return sum(cohort.units_with_feedback for cohort in self.cohorts if cohort.arm == arm)

    def add_up(self, arm: str, metric: int) -> Sums:
        """Add up the sums of an arm for one metric, by its position."""
        total = Sums()
        for cohort in self.cohorts:
            if cohort.arm == arm:
                total += cohort.sums[metric]
        return total

    @property
    def days(self) -> list[int]:
        """The days on which units were first seen, in order."""
        return sorted({cohort.day for cohort in self.cohorts})
