"""The evaluation role's commands and results."""

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from shared import contract, ping, positive_class
from shared.evaluation import columns, details, gates, positives
from shared.recipe import conditions, expressions

ColumnName = Annotated[str, pydantic.Field(min_length=1, max_length=1000)]


class Bootstrap(contract.Document):
    """How intervals are computed: from the metrics of rows resampled with replacement (percentile bootstrap)."""

    samples: int = pydantic.Field(default=500, ge=100, le=10_000, description="How many times the rows are resampled.")
    confidence: float = pydantic.Field(default=0.95, gt=0.5, lt=1, description="The confidence level of the intervals.")
    seed: int = pydantic.Field(default=0, ge=0, le=2**32 - 1, description="Seed of the resampling.")


class ScoreModel(contract.Command):
    """Score a model's version on a dataset that has the target; compare it with a baseline, slice it, apply a gate."""

    model: contract.ModelRef
    dataset: contract.DatasetRef
    target: str | None = pydantic.Field(
        default=None, max_length=1000, description="The column with the truth; the model's own target when left out."
    )
    positive: positive_class.Requested | None = pydantic.Field(
        default=None,
        description="The class that `precision`, `recall`, `f1`, `average_precision` and fairness are about, for both "
        "models, where there are two; the model's own when left out.",
    )
    sample_weight: ColumnName | None = pydantic.Field(
        default=None,
        description="The column with each row's weight in metrics, groups and curves, as in training; without it all "
        "rows count alike, also for a model that was trained with weights. `rows` and the paired test count rows.",
    )
    where: expressions.Text | None = pydantic.Field(
        default=None,
        description="Which rows to score, with both models: those of which this is true, in the expression language of "
        "recipes, over the dataset's own columns. All when left out, whatever condition the model was trained with.",
    )
    baseline: contract.ModelRef | None = pydantic.Field(
        default=None, description="Another version to compare with on the same rows."
    )
    bootstrap: Bootstrap | None = pydantic.Field(
        default=None, description="Computes an interval for each metric; with a `baseline` this is always done."
    )
    slices: list[ColumnName] = pydantic.Field(
        default=[],
        max_length=20,
        description="Columns whose values split the rows into groups, each scored by itself; many numbers are split at "
        "their quartiles, where a value that fills a quarter of the rows is a group of its own.",
    )
    least_slice_rows: int = pydantic.Field(
        default=30,
        ge=1,
        le=1_000_000,
        description="Groups with fewer rows are shown, but can't be the worst, and the gate ignores them.",
    )
    gate: gates.Gate | None = pydantic.Field(default=None, description="Rules that the version must pass.")
    explain: details.Explain = pydantic.Field(
        default=details.Explain(), description="What the evaluation's `details` contain besides the curves."
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_in_baseline(cls, params: Any) -> Any:
        """Take the baseline from the gate's `not_worse_than`; an alias alone is one of the same model."""
        gate = params.get("gate") if isinstance(params, dict) else None
        reference = gate.get(gates.NOT_WORSE) if isinstance(gate, dict) else None
        if not isinstance(reference, str) or not isinstance(params.get("model"), str):
            return params
        baseline = reference if "@" in reference else f"{params['model'].partition('@')[0]}@{reference}"
        if params.get("baseline") not in (None, baseline):
            raise ValueError(
                f"the gate's `not_worse_than` means {baseline!r}, but `baseline` is another; leave one of them out"
            )
        return {**params, "baseline": baseline}

    @pydantic.model_validator(mode="after")
    def _require_columns_for_slice_rules(self) -> "ScoreModel":
        if self.gate is not None and self.gate.slices is not None and not self.slices:
            raise ValueError("the gate has rules for slices; name the columns in `slices`")
        return self

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse a dataset that lacks the truth, a column that a model needs, or one to slice or to choose rows by."""
        dataset = contract.DatasetPin.model_validate(pinned["dataset"])
        present = dataset.names
        for name in ("model", "baseline"):
            if name in pinned:
                model = contract.ModelPin.model_validate(pinned[name])
                columns.require_model_columns(model, target=self.target, present=present)
        columns.require_weight_column(self.sample_weight, present=present)
        columns.require_slice_columns(self.slices, present=present)
        if self.where is not None:
            conditions.check(self.where, columns=dataset.columns, pointer="#/params/where")
        model = contract.ModelPin.model_validate(pinned["model"])
        self.explain.check(model)
        self.choose_positives(model)

    def choose_positives(
        self, model: contract.ModelPin
    ) -> tuple[positive_class.Label | None, positive_class.Label | None]:
        """Choose the positive class, and that of the gate; raises when the gate's metric isn't one of the model's."""
        positive = positives.choose(model, self.positive, pointer="#/params/positive")
        if self.gate is None:
            return positive, positive
        classes = map(positive_class.format_label, positives.list_classes(model))
        gates.require_metric(self.gate, problem=model.problem, classes=classes)
        if self.gate.positive is None:
            return positive, positive
        return positive, positives.choose(model, self.gate.positive, pointer="#/params/gate/positive")


class Interval(contract.Result):
    """Where a value lies, at the requested confidence level."""

    low: float = pydantic.Field(description="The lower end.")
    high: float = pydantic.Field(description="The upper end.")


class Difference(contract.Result):
    """A metric of the model and of the baseline, on the same rows, and their difference."""

    model: float = pydantic.Field(description="The model's value.")
    baseline: float = pydantic.Field(description="The baseline's value.")
    difference: float = pydantic.Field(description="The model's value minus the baseline's.")
    interval: Interval | None = pydantic.Field(
        description="The difference's interval, where both models are measured on the same resampled rows."
    )
    p_value: float | None = pydantic.Field(
        description="The two-sided p-value of the difference, from the resamples whose difference has the other sign."
    )


class PairedTest(contract.Result):
    """A test of whether two models have the same errors on the same rows."""

    name: str = pydantic.Field(description="`mcnemar_exact` for labels, `wilcoxon_signed_rank` for numbers.")
    statistic: float = pydantic.Field(description="The test's statistic.")
    p_value: float = pydantic.Field(description="The two-sided p-value.")
    model_better: int = pydantic.Field(
        description="On how many rows the model is right, or closer, and the baseline isn't."
    )
    baseline_better: int = pydantic.Field(description="On how many rows it is the other way round.")


class Comparison(contract.Result):
    """A model compared with a baseline on the same rows."""

    baseline: str = pydantic.Field(description="The baseline, as `name@version`.")
    metrics: dict[str, Difference] = pydantic.Field(description="Each metric that both models have.")
    test: PairedTest | None = pydantic.Field(description="The paired test, for problems that have one.")


class Group(contract.Result):
    """The rows with one value of a column."""

    value: str | None = pydantic.Field(description="The value, or the range of values; null for the rows without one.")
    rows: int = pydantic.Field(description="How many rows it has.")
    metrics: dict[str, float] = pydantic.Field(description="The metrics of these rows alone.")


class Fairness(contract.Result):
    """How differently a binary classifier treats the groups of a column: the greatest rate minus the least."""

    demographic_parity_difference: float = pydantic.Field(
        description="The difference of the shares of rows predicted positive."
    )
    true_positive_rate_difference: float | None = pydantic.Field(
        description="The difference of the true positive rates."
    )
    false_positive_rate_difference: float | None = pydantic.Field(
        description="The difference of the false positive rates."
    )


class Slice(contract.Result):
    """How well a model does on the groups of one column."""

    column: str = pydantic.Field(description="The column.")
    groups: list[Group] = pydantic.Field(description="The groups, those with most rows first.")
    worst: str | None = pydantic.Field(
        description="The group whose metric is worst, among those with enough rows; null when that is the group "
        "without a value, or no group has enough rows and a metric."
    )
    gap: float | None = pydantic.Field(
        description="The metric's greatest value in a group minus its least; null with fewer than two groups with "
        "enough rows, or when the metric of one of them is undefined."
    )
    fairness: Fairness | None = pydantic.Field(description="For binary classifiers.")


class Findings(contract.Result):
    """Everything that an evaluation computes."""

    metrics: dict[str, float] = pydantic.Field(
        description="Metrics by scikit-learn's names; those of single classes by names such as `recall_fraud`."
    )
    positive: positive_class.Label | None = pydantic.Field(
        default=None,
        description="The class that `precision`, `recall`, `f1` and `average_precision` are about, if there are two.",
    )
    undefined: dict[str, str] = pydantic.Field(
        default={}, description="Why metrics of the problem are undefined on these rows, by metric."
    )
    rows: int = pydantic.Field(description="How many rows were scored.")
    skipped_rows: int = pydantic.Field(description="How many rows have no target, and so can't be scored.")
    where: conditions.KeptRows | None = pydantic.Field(
        default=None, description="The condition on the rows to score, and how many it keeps, if there was one."
    )
    intervals: dict[str, Interval] = pydantic.Field(default={}, description="Each metric's interval.")
    comparison: Comparison | None = pydantic.Field(default=None, description="The model compared with the baseline.")
    slices: list[Slice] = pydantic.Field(default=[], description="The model on groups of rows.")
    gate: gates.Verdict | None = pydantic.Field(default=None, description="Whether the version passes.")
    warnings: list[str] = pydantic.Field(description="What looks wrong, each in a sentence.")

    @classmethod
    def find_refusal(cls, result: Mapping[str, Any]) -> str | None:
        """Say which rules of the gate don't hold; None when it passes, or there is none."""
        gate = result.get("gate")
        if gate is None or gate["passed"]:
            return None
        return f"the gate refuses: {'; '.join(rule['detail'] for rule in gate['rules'] if not rule['passed'])}"


class ScoredModel(Findings):
    """How well a model's version does on a dataset."""

    class Evaluation(contract.Result):
        """The stored evaluation."""

        id: str = pydantic.Field(description="The evaluation's id.")

    evaluation: Evaluation = pydantic.Field(description="The stored evaluation.")


SCORE = contract.Kind(
    name="evaluation.score",
    command=ScoreModel,
    result=ScoredModel,
    description="Score a model's version on a dataset with known targets: with a baseline, by slices, against a gate.",
)
PING = ping.kind_for("evaluation")
KINDS = (SCORE, PING)
