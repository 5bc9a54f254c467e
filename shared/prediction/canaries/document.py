"""What a client says of a canary: which version is to take over, by which steps, and what a step must show."""

from typing import Annotated, Literal, Self

import pydantic

from shared import contract

Source = Literal["feedback", "error_rate", "latency", "shadow_agreement"]
NAMES: dict[str, tuple[str, ...]] = {
    "feedback": ("accuracy", "absolute_error", "squared_error", "value"),
    "error_rate": ("error_rate",),
    "latency": ("mean", "p50", "p90", "p95", "p99"),
    "shadow_agreement": ("agreement",),
}
"""What can be measured, by its source."""
GREATER_IS_BETTER = frozenset({"accuracy", "value"})
_LAST = 100.0


class GateMetric(contract.Document):
    """A figure that is compared between the canary and the versions that it is to replace."""

    name: str = pydantic.Field(
        description="feedback: `accuracy` (of labels), `absolute_error`, `squared_error` (of numbers) or `value` (what "
        "feedback says), each the mean over units of a unit's mean. error_rate: `error_rate`, the share of requests "
        "that the version itself failed to answer. latency: `mean`, `p50`, `p90`, `p95` or `p99`, in seconds. "
        "shadow_agreement: `agreement`, the share of rows for which the canary as a shadow says the label that was "
        "answered, since it became one; what it can't predict disagrees.",
        examples=["accuracy"],
    )
    source: Source
    role: Literal["goal", "guardrail"] = pydantic.Field(
        default="guardrail",
        description="A guardrail fails when the canary is worse by more than the margin beyond doubt, and passes "
        "otherwise. A goal passes only when it is beyond doubt that the canary is not worse by more than the margin.",
    )
    margin: float = pydantic.Field(
        default=0,
        ge=0,
        le=1e12,
        allow_inf_nan=False,
        description="By how much the canary may be worse, in the unit of the figure: 0.01 is one point of accuracy, "
        "and of agreement one row in a hundred that disagrees.",
    )
    min_units: int = pydantic.Field(
        default=200,
        ge=2,
        le=10_000_000,
        description="How many units with feedback, requests, or rows of a shadow, the canary and the others must have "
        "each before anything is said; a deployment without a sticky key takes each request for a unit.",
    )

    @pydantic.model_validator(mode="after")
    def _check_name(self) -> Self:
        if self.name not in NAMES[self.source]:
            raise ValueError(
                f"{self.name[:40]!r} is nothing that {self.source} has; take {', '.join(NAMES[self.source])}"
            )
        return self


class Gate(contract.Document):
    """When a canary goes on to the next step, and when it is rolled back."""

    metrics: list[GateMetric] = pydantic.Field(
        min_length=1, max_length=10, description="A check passes when all pass, and fails when one fails."
    )
    interval_seconds: float = pydantic.Field(
        default=60, ge=1, le=86_400, description="The time between two checks, in seconds."
    )
    initial_delay_seconds: float = pydantic.Field(
        default=0, ge=0, le=604_800, description="The time from a step's beginning to its first check, in seconds."
    )
    failure_limit: int = pydantic.Field(
        default=0, ge=0, le=1000, description="Failed checks of a step that are put up with; one more rolls back."
    )
    error_limit: int = pydantic.Field(
        default=4, ge=0, le=1000, description="Checks in a row that can't be computed; one more rolls back."
    )
    on_inconclusive: Literal["wait", "pause", "rollback"] = pydantic.Field(
        default="wait",
        description="What is done when a step has said neither yes nor no for `max_wait_seconds`. It never goes on.",
    )
    max_wait_seconds: float = pydantic.Field(
        default=86_400, ge=1, le=31_536_000, description="How long a step may take, in seconds."
    )
    dry_run: bool = pydantic.Field(
        default=False, description="Check and record, and leave every move to `approve` and `abort`."
    )


class Canary(contract.Document):
    """A version that gets a growing share of the traffic, until it has all of it or is rolled back."""

    model: Annotated[
        str,
        pydantic.StringConstraints(pattern=contract.REFERENCE_PATTERN, max_length=127),
        pydantic.Field(
            description="The version that is to take over from the routes: `name@3`, or `name@alias`, which is the "
            "version that it stands for at this moment.",
            examples=["churn@4"],
        ),
    ]
    steps: list[Annotated[float, pydantic.Field(gt=0, le=100, allow_inf_nan=False)]] = pydantic.Field(
        default=[5.0, 25.0, 50.0, 100.0],
        min_length=1,
        max_length=20,
        description="The canary's share at each step, in percent, growing up to 100, with which it takes over.",
    )
    gate: Gate | None = pydantic.Field(
        default=None, description="What a step must show. Without it only `approve` goes on to the next step."
    )

    @pydantic.model_validator(mode="after")
    def _check_steps(self) -> Self:
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError(f"the steps are {self.steps}; each must be greater than the one before")
        if self.steps[-1] != _LAST:
            raise ValueError(f"the last step is {self.steps[-1]:g}; it must be 100, with which the canary takes over")
        return self
