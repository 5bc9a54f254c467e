"""What the evaluation role is asked and what it answers."""

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from shared import contract, ping
from shared.evaluation import columns, gates

ColumnName = Annotated[str, pydantic.Field(min_length=1, max_length=1000)]


class Bootstrap(contract.Document):
    """How the intervals are found: metrics of rows drawn again and again, with repetition."""

    samples: int = pydantic.Field(default=500, ge=100, le=10_000, description="How often the rows are drawn.")
    confidence: float = pydantic.Field(default=0.95, gt=0.5, lt=1, description="The part that an interval holds.")
    seed: int = pydantic.Field(default=0, ge=0, le=2**32 - 1, description="Seeds the drawing.")


class ScoreModel(contract.Command):
    """Score a model's version on a dataset that holds the target; compare it, slice it, and let a gate judge it."""

    model: contract.ModelRef
    dataset: contract.DatasetRef
    target: str | None = pydantic.Field(
        default=None, max_length=1000, description="The column with the truth; the model's own when left out."
    )
    baseline: contract.ModelRef | None = pydantic.Field(
        default=None, description="Another version, to be compared on the same rows."
    )
    bootstrap: Bootstrap | None = pydantic.Field(
        default=None, description="Gives each metric an interval; with a `baseline` it is done anyway."
    )
    slices: list[ColumnName] = pydantic.Field(
        default=[],
        max_length=20,
        description="Columns whose values split the rows into groups, each scored by itself; numbers are cut at their "
        "quartiles, a value that fills one being a group of its own.",
    )
    least_slice_rows: int = pydantic.Field(
        default=30, ge=1, le=1_000_000, description="Groups with fewer rows are shown, but neither worst nor judged."
    )
    gate: gates.Gate | None = pydantic.Field(default=None, description="Rules that the version must pass.")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _name_the_baseline(cls, given: Any) -> Any:
        """Let `not_worse_than` name the baseline; an alias alone is one of the same model."""
        gate = given.get("gate") if isinstance(given, dict) else None
        other = gate.get(gates.NOT_WORSE) if isinstance(gate, dict) else None
        if not isinstance(other, str) or not isinstance(given.get("model"), str):
            return given
        baseline = other if "@" in other else f"{given['model'].partition('@')[0]}@{other}"
        if given.get("baseline") not in (None, baseline):
            raise ValueError(f"the gate's `not_worse_than` means {baseline!r}, but `baseline` is another; give one")
        return {**given, "baseline": baseline}

    @pydantic.model_validator(mode="after")
    def _slices_what_it_judges(self) -> "ScoreModel":
        if self.gate is not None and self.gate.slices is not None and not self.slices:
            raise ValueError("the gate has rules for slices; name the columns in `slices`")
        return self

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse a dataset without the truth or a column that a model needs, and slices by columns that it lacks."""
        present = contract.DatasetPin.model_validate(pinned["dataset"]).names
        for place in ("model", "baseline"):
            if place in pinned:
                model = contract.ModelPin.model_validate(pinned[place])
                columns.require_scored(model, target=self.target, present=present)
        columns.require_slices(self.slices, present=present)


class Interval(contract.Result):
    """Where a value lies with the confidence asked for."""

    low: float = pydantic.Field(description="The lower end.")
    high: float = pydantic.Field(description="The upper end.")


class Difference(contract.Result):
    """By how much a metric of the model is above the baseline's, on the same rows."""

    model: float = pydantic.Field(description="The model's value.")
    baseline: float = pydantic.Field(description="The baseline's value.")
    difference: float = pydantic.Field(description="The model's value less the baseline's.")
    interval: Interval | None = pydantic.Field(description="The difference's interval, rows being drawn in pairs.")
    p_value: float | None = pydantic.Field(
        description="How often a difference of this sign would be drawn if there were none, two-sided."
    )


class PairedTest(contract.Result):
    """A test of whether two models err alike on the same rows."""

    name: str = pydantic.Field(description="`mcnemar_exact` for labels, `wilcoxon_signed_rank` for numbers.")
    statistic: float = pydantic.Field(description="The test's statistic.")
    p_value: float = pydantic.Field(description="The two-sided p-value.")
    model_better: int = pydantic.Field(description="Rows on which the model is right, or closer, and the other isn't.")
    baseline_better: int = pydantic.Field(description="Rows on which it is the other way round.")


class Comparison(contract.Result):
    """A model beside a baseline, on the same rows."""

    baseline: str = pydantic.Field(description="The baseline, as `name@version`.")
    metrics: dict[str, Difference] = pydantic.Field(description="Each metric that both have.")
    test: PairedTest | None = pydantic.Field(description="The paired test, for problems that have one.")


class Group(contract.Result):
    """The rows with one value of a column."""

    value: str | None = pydantic.Field(description="The value, or the range of values; null for missing ones.")
    rows: int = pydantic.Field(description="How many rows it has.")
    metrics: dict[str, float] = pydantic.Field(description="The metrics of these rows alone.")


class Fairness(contract.Result):
    """How differently a binary classifier treats the groups of a column: greatest less least rate."""

    demographic_parity_difference: float = pydantic.Field(description="Of the part called positive.")
    true_positive_rate_difference: float | None = pydantic.Field(description="Of the positives called so.")
    false_positive_rate_difference: float | None = pydantic.Field(description="Of the negatives called positive.")


class Slice(contract.Result):
    """How a model does on the groups of one column."""

    column: str = pydantic.Field(description="The column.")
    groups: list[Group] = pydantic.Field(description="The groups, those with most rows first.")
    worst: str | None = pydantic.Field(
        description="The group whose metric is worst, among those with rows enough; null where that is the rows "
        "without a value, or none could be judged."
    )
    gap: float | None = pydantic.Field(
        description="The metric's greatest value in a group less its least; null with fewer than two groups with rows "
        "enough, or when one of them has no value."
    )
    fairness: Fairness | None = pydantic.Field(description="For binary classifiers.")


class Findings(contract.Result):
    """All that an evaluation finds."""

    metrics: dict[str, float] = pydantic.Field(description="Metrics by scikit-learn's names.")
    rows: int = pydantic.Field(description="How many rows were scored.")
    skipped_rows: int = pydantic.Field(description="Rows without a target, which can't be scored.")
    intervals: dict[str, Interval] = pydantic.Field(default={}, description="Each metric's interval.")
    comparison: Comparison | None = pydantic.Field(default=None, description="The model beside the baseline.")
    slices: list[Slice] = pydantic.Field(default=[], description="The model on groups of rows.")
    gate: gates.Verdict | None = pydantic.Field(default=None, description="Whether the version passes.")
    warnings: list[str] = pydantic.Field(description="What looks wrong, each in a sentence.")


class ScoredModel(Findings):
    """How well a model's version does on a dataset."""

    class Evaluation(contract.Result):
        """The evaluation that was made."""

        id: str = pydantic.Field(description="The evaluation's id.")

    evaluation: Evaluation = pydantic.Field(description="The evaluation that was made.")


SCORE = contract.Kind(
    name="evaluation.score",
    command=ScoreModel,
    result=ScoredModel,
    description="Score a model's version on a dataset with known targets, beside a baseline, on slices, by a gate.",
)
PING = ping.kind_for("evaluation")
KINDS = (SCORE, PING)
