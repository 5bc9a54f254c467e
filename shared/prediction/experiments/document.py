"""What a client says of an experiment before it begins: what is compared, how, and what would count as a success."""

from typing import Annotated, Literal, Self

import pydantic

from shared import contract

Better = Literal["higher", "lower"]
Figure = Literal["accuracy", "absolute_error", "squared_error", "value"]
HIGHER_IS_BETTER = frozenset({"accuracy", "value"})
OF_LABELS = frozenset({"accuracy"})
OF_NUMBERS = frozenset({"absolute_error", "squared_error"})


class Metric(contract.Document):
    """A figure of the feedback, by unit."""

    name: Figure = pydantic.Field(
        description="`accuracy` of labels, `absolute_error` or `squared_error` of numbers, or `value`, which the "
        "feedback says.",
        examples=["accuracy"],
    )
    per: Literal["prediction", "unit"] = pydantic.Field(
        default="prediction",
        description="`prediction`: the mean over all predictions with feedback. `unit`: the mean over units of the sum "
        "of a unit's values, such as revenue per customer; only for `value`. Errors of both are by unit.",
    )
    without_feedback: Literal["left_out", "zero"] = pydantic.Field(
        default="left_out",
        description="What a unit without any feedback counts as, where `per` is `unit`: it is `left_out`, or its value "
        "is `zero`, which is right where feedback is only sent when something happened.",
    )
    better: Better | None = pydantic.Field(
        default=None,
        description="Which direction is better; when left out, `higher` for `accuracy` and `value`, else `lower`.",
    )

    @property
    def direction(self) -> Better:
        """Which direction is better."""
        return self.better or ("higher" if self.name in HIGHER_IS_BETTER else "lower")

    @pydantic.model_validator(mode="after")
    def _check_per(self) -> Self:
        if self.per == "unit" and self.name != "value":
            raise ValueError(f"{self.name} has no sum per unit; take `per`: `prediction`, or the metric `value`")
        if self.without_feedback == "zero" and self.per != "unit":
            raise ValueError("without feedback there is no prediction to count as zero; take `per`: `unit`")
        return self


class Guardrail(Metric):
    """A figure that must not get worse."""

    # PostgreSQL keeps no sign of 0, and the ledger's hash is of what is kept.
    margin: Annotated[float, pydantic.AfterValidator(lambda margin: margin + 0.0)] = pydantic.Field(
        default=0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="By which part of the control's mean it may be worse: 0.02 is two percent.",
    )


class Experiment(contract.Document):
    """A comparison of the routes of a deployment, fixed when it begins: another document is another experiment."""

    hypothesis: str = pydantic.Field(
        min_length=1, max_length=2000, description="What is expected, and why.", examples=["v4 loses fewer customers."]
    )
    control: Annotated[str, pydantic.StringConstraints(pattern=contract.REFERENCE_PATTERN, max_length=127)] | None = (
        pydantic.Field(
            default=None, description="The `model` of the route that others are compared with; by default the first."
        )
    )
    goal: Metric = pydantic.Field(description="The metric that decides.")
    guardrails: list[Guardrail] = pydantic.Field(
        default=[], max_length=10, description="Metrics that must not get worse, each judged by itself."
    )
    alpha: float = pydantic.Field(
        default=0.05,
        ge=1e-6,
        le=0.5,
        description="The probability with which an effect may be found where there is none, at any of all looks.",
    )
    tuning_units: int = pydantic.Field(
        default=5000,
        ge=10,
        le=1_000_000_000,
        description="The number of units, of an arm and the control, for which the sequence is narrowest.",
    )
    minimum_effect: float = pydantic.Field(
        default=0.05,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="The smallest effect of interest, as a part of the control's mean; it says how long to run.",
    )

    @property
    def metrics(self) -> list[Metric]:
        """The goal and then the guardrails."""
        return [self.goal, *self.guardrails]
