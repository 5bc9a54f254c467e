"""A gate: the rules that a model's version must pass before others may rely on it."""

from collections.abc import Iterable

import pydantic

from shared import contract, errors, positive_class, scoring, suggestions

NOT_WORSE = "not_worse_than"


class SliceRules(contract.Document):
    """What must hold in every group of rows, so that a good average can't hide a bad group."""

    at_least: float | None = pydantic.Field(
        default=None, description="The least value that the metric may have in any group."
    )
    at_most: float | None = pydantic.Field(
        default=None, description="The greatest value that the metric may have in any group."
    )
    greatest_gap: float | None = pydantic.Field(
        default=None,
        ge=0,
        description="The greatest difference that the metric may have between two groups of a column.",
    )

    @pydantic.model_validator(mode="after")
    def _require_a_rule(self) -> "SliceRules":
        if self.at_least is None and self.at_most is None and self.greatest_gap is None:
            raise ValueError("give `at_least`, `at_most` or `greatest_gap`")
        return self


class Gate(contract.Document):
    """Rules for one metric; the version passes when every rule holds.

    docs/decisions/evaluation.md, "A gate's rule whose value is undefined does not hold".
    """

    metric: str = pydantic.Field(
        max_length=1100,
        description="The metric that the rules are about; `precision`, `recall` and `f1` also with a class's name: "
        "`recall_fraud`.",
    )
    positive: positive_class.Requested | None = pydantic.Field(
        default=None,
        description="The positive class that the metric is measured for; the evaluation's when left out.",
    )
    at_least: float | None = pydantic.Field(default=None, description="The least value that it may have.")
    at_most: float | None = pydantic.Field(default=None, description="The greatest value that it may have, for errors.")
    not_worse_than: str | None = pydantic.Field(
        default=None,
        max_length=127,
        description="A version to compare it with on the same rows: an alias of the same model (`champion`), a number, "
        "or `name@alias`. It becomes the `baseline`.",
        examples=["champion"],
    )
    tolerance: float = pydantic.Field(
        default=0.0, ge=0, description="By how much it may be worse than that version, in the metric's own units."
    )
    slices: SliceRules | None = pydantic.Field(
        default=None, description="What must hold in each group of the columns that `slices` of the command names."
    )

    @pydantic.field_validator("metric")
    @classmethod
    def _require_a_metric(cls, metric: str) -> str:
        names = sorted({name for metrics in scoring.METRICS.values() for name in metrics})
        if metric in names or scoring.is_for_class(metric, problem="classification"):
            return metric
        similar = suggestions.find_similar(metric, names)
        hint = suggestions.ask(similar) if similar else f"there are {', '.join(names)}"
        raise ValueError(f"no problem has a metric {metric!r}; {hint}")

    @pydantic.model_validator(mode="after")
    def _require_a_rule(self) -> "Gate":
        if self.at_least is None and self.at_most is None and self.not_worse_than is None and self.slices is None:
            raise ValueError("give `at_least`, `at_most`, `not_worse_than` or `slices`")
        return self


def require_metric(gate: Gate, *, problem: str, classes: Iterable[str]) -> None:
    """Raise BadDataError for a gate whose metric a model of this problem, with these classes, doesn't have."""
    metrics = scoring.list_metrics(problem, classes=classes)
    if gate.metric not in metrics:
        raise errors.BadDataError(
            f"the gate's metric {gate.metric!r} is no metric of {problem}; these are: {', '.join(metrics)}",
            pointer="#/params/gate/metric",
        )


class Ruling(contract.Result):
    """Whether one rule holds, and why."""

    rule: str = pydantic.Field(description="The rule's name, such as `at_least` or `slices.greatest_gap`.")
    passed: bool = pydantic.Field(description="Whether it holds.")
    value: float | None = pydantic.Field(description="The value of the metric; null when it is undefined here.")
    limit: float = pydantic.Field(description="The limit that it was compared with.")
    detail: str = pydantic.Field(description="What was compared, in a sentence.")


class Verdict(contract.Result):
    """Whether a version passes a gate, rule by rule."""

    passed: bool = pydantic.Field(description="Whether every rule holds.")
    metric: str = pydantic.Field(description="The metric that the rules are about.")
    positive: positive_class.Label | None = pydantic.Field(
        default=None, description="The positive class that the metric was measured for, where there are two classes."
    )
    rules: list[Ruling] = pydantic.Field(description="Each rule.")
    warnings: list[str] = pydantic.Field(
        default=[], description="Why the verdict means little, each in a sentence; a warning makes no rule fail."
    )
