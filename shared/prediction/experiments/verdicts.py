"""What an experiment's report advises to do."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from shared.prediction.experiments.document import Better
from shared.prediction.experiments.duration import Duration
from shared.prediction.experiments.effects import Effect

Kind = Literal["unhealthy", "no_data", "keep_running", "ship", "roll_back", "your_call"]
LEAST_UNITS = 100
"""Units that each arm must have before anything but waiting is advised; a confidence sequence holds for many."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guardrail:
    """What happened to a guardrail in one arm."""

    name: str
    better: Better
    margin: float
    """How much worse it may be, as a part of the control's mean."""
    relative: Effect
    absolute: Effect

    @property
    def is_harmed(self) -> bool:
        """Whether it is worse than its margin allows, whatever the truth inside the sequence is.

        Where the relative effect is undefined, any worsening for certain is too much.
        """
        effect, margin = (self.relative, self.margin) if self.relative.sequence else (self.absolute, 0.0)
        if effect.sequence is None:
            return False
        if self.better == "higher":
            return effect.sequence.high < -margin
        return effect.sequence.low > margin


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """What is known of one arm besides the control."""

    name: str
    units: int
    """Units with a value of the goal."""
    effect: Effect
    """The goal's effect, absolute."""
    adjusted_p: float | None
    """Its always-valid p-value, adjusted for the number of arms."""
    guardrails: Sequence[Guardrail]
    duration: Duration

    def is_found(self, direction: Better, *, alpha: float) -> bool:
        """Whether the goal is higher, or lower, than in the control for certain."""
        if self.adjusted_p is None or self.adjusted_p >= alpha or self.effect.estimate is None:
            return False
        return self.effect.estimate > 0 if direction == "higher" else self.effect.estimate < 0

    @property
    def harmed(self) -> list[str]:
        """The names of the guardrails that are worse than they may be."""
        return [guardrail.name for guardrail in self.guardrails if guardrail.is_harmed]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is advised, for which arm, and why."""

    kind: Kind
    reasons: list[str]
    arm: str | None = None
    days_left: float | None = None


def decide(
    arms: Sequence[Arm], *, control_units: int, problems: Sequence[str], better: Better, alpha: float
) -> Verdict:
    """Decide what to advise, given all arms but the control, and what is wrong with the experiment itself.

    - `unhealthy`: something is wrong, such as arms that did not get their share; figures can't be trusted.
    - `no_data`: no arm, or not the control, has a unit with a value of the goal.
    - `ship`: the goal is better in an arm for certain, and no guardrail is harmed there; the best such arm.
    - `roll_back`: in every arm the goal is worse for certain, or a guardrail is harmed and the goal not better.
    - `your_call`: the goal is better and a guardrail harmed, or as many units as were needed have shown no difference.
    - `keep_running`: nothing is certain yet; `days_left` says about how long, where it can be told.
    """
    if problems:
        return Verdict(kind="unhealthy", reasons=list(problems))
    if control_units == 0 or not any(arm.units for arm in arms):
        return Verdict(kind="no_data", reasons=["no unit has a value of the goal yet in the control or in the arms"])
    if min(control_units, *(arm.units for arm in arms)) < LEAST_UNITS:
        return _wait(arms, f"each arm needs {LEAST_UNITS} units with a value of the goal before anything can be said")
    return _decide_by_effects(arms, better=better, alpha=alpha)


def _decide_by_effects(arms: Sequence[Arm], *, better: Better, alpha: float) -> Verdict:
    worse: Better = "lower" if better == "higher" else "higher"
    winners = [arm for arm in arms if arm.is_found(better, alpha=alpha)]
    clean = [arm for arm in winners if not arm.harmed]
    if clean:
        best = max(clean, key=lambda arm: abs(arm.effect.estimate or 0.0))
        return Verdict(kind="ship", arm=best.name, reasons=["the goal is better, and no guardrail is harmed"])
    if winners:
        arm = winners[0]
        return Verdict(
            kind="your_call",
            arm=arm.name,
            reasons=[f"the goal is better, but so much worse is what guards it: {', '.join(arm.harmed)}"],
        )
    losers = [arm for arm in arms if arm.harmed or arm.is_found(worse, alpha=alpha)]
    if len(losers) == len(arms):
        return Verdict(kind="roll_back", reasons=[_describe_loss(arm) for arm in losers])
    open_arms = [arm for arm in arms if arm not in losers]
    if all(arm.duration.days_left == 0 for arm in open_arms):
        return Verdict(
            kind="your_call",
            reasons=["there are enough units to find the smallest effect of interest, and no difference is certain"],
        )
    return _wait(open_arms, "no difference is certain yet")


def _wait(arms: Sequence[Arm], reason: str) -> Verdict:
    days = [arm.duration.days_left for arm in arms]
    known = [each for each in days if each is not None]
    return Verdict(kind="keep_running", reasons=[reason], days_left=max(known) if known == days and known else None)


def _describe_loss(arm: Arm) -> str:
    if arm.harmed:
        return f"in {arm.name}, guardrails are harmed: {', '.join(arm.harmed)}"
    return f"in {arm.name}, the goal is worse"
