"""How a deployment's canary is shown, with the checks of its gate."""

from typing import Any

import pydantic

from api import documents
from shared import contract


class ReasonRequest(contract.Document):
    """Why a canary is moved."""

    reason: str | None = pydantic.Field(
        default=None, min_length=1, max_length=1000, description="Why, for the deployment's history."
    )


class ArmFigures(documents.Document):
    """What one side of a comparison has shown."""

    units: int = pydantic.Field(description="Units with feedback, or requests.")
    value: float | None


class MetricCheck(documents.Document):
    """A figure of the canary beside that of the versions which it is to replace."""

    name: str
    source: str
    role: str
    margin: float
    verdict: str = pydantic.Field(description="`pass`, `fail`, `inconclusive` or `error`.")
    reason: str = pydantic.Field(description="Why, in a sentence.")
    canary: ArmFigures
    stable: ArmFigures
    worse_by: float | None = pydantic.Field(description="By how much the canary is worse; negative where it is better.")
    at_least: float | None = pydantic.Field(description="The lower end of the 95 % confidence sequence of `worse_by`.")
    at_most: float | None = pydantic.Field(description="Its upper end.")


class CanaryCheck(documents.Document):
    """A check of a canary's gate."""

    number: int
    step: int = pydantic.Field(description="The position of the step, counted from 0.")
    checked_at: str
    verdict: str = pydantic.Field(description="`pass`, `fail`, `inconclusive` or `error`.")
    metrics: list[MetricCheck]


class DeployedCanary(documents.Document):
    """The canary of a deployment, the latest that it has had."""

    model: str
    status: str = pydantic.Field(description="`running`, `paused`, `promoted`, `rolled_back` or `aborted`.")
    reason: str | None = pydantic.Field(description="Why it is paused, or is over.")
    step: int = pydantic.Field(description="The position of its step, counted from 0.")
    steps: list[float]
    since: str = pydantic.Field(description="When the step began; what is compared was predicted since then.")
    gate: dict[str, Any] | None
    job: str | None = pydantic.Field(description="The job that moves it; null where only people do.")
    id: int = pydantic.Field(description="The revision with which it began.")
    checks: list[CanaryCheck] = pydantic.Field(description="The latest checks of its gate, newest first.")
