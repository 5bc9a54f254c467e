"""The report of a deployment's experiment, and the sums that it is computed from."""

import csv
import io
from typing import Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.prediction.deployments import RunningExperiment
from api.reads import experiments

blueprint = flask_openapi.APIBlueprint(
    "experiments", __name__, url_prefix="/v1/deployments", abp_tags=[{"name": "deployments"}]
)
_REASON = "Why it is null."


class Interval(documents.Document):
    """An interval, and the p-value of "the effect is 0" that belongs to it."""

    low: float
    high: float
    p: float


class Effect(documents.Document):
    """An effect of an arm against the control."""

    estimate: float | None
    standard_error: float | None
    sequence: Interval | None = pydantic.Field(
        description="The confidence sequence, which holds at every look: decide by it."
    )
    plain: Interval | None = pydantic.Field(
        description="Welch's interval, which holds for a single look that was planned; for comparison only."
    )
    reason: str | None = pydantic.Field(description=_REASON)


class Comparison(documents.Document):
    """An arm against the control."""

    arm: str
    absolute: Effect = pydantic.Field(description="In the metric's unit.")
    relative: Effect = pydantic.Field(description="As a part of the control's mean.")
    adjusted_p: float | None = pydantic.Field(
        description="The sequence's p-value, adjusted by Holm for the number of arms; null for guardrails."
    )
    harmed: bool | None = pydantic.Field(
        description="Whether it is worse by more than the margin for certain; null for the goal."
    )


class Summary(documents.Document):
    """A metric in one arm."""

    arm: str
    units: int = pydantic.Field(description="Units with a value.")
    mean: float | None
    variance: float | None = pydantic.Field(description="Of one unit; divided by `units` it is that of the mean.")
    reason: str | None = pydantic.Field(description=_REASON)


class MeasuredMetric(documents.Document):
    """A metric in all arms."""

    name: str
    role: Literal["goal", "guardrail"]
    per: Literal["prediction", "unit"]
    better: Literal["higher", "lower"]
    margin: float | None
    arms: list[Summary]
    comparisons: list[Comparison]


class ReportedArm(documents.Document):
    """An arm, its units, and what feedback they have."""

    arm: str
    role: Literal["control", "treatment"]
    versions: list[int] = pydantic.Field(description="The versions that it has stood for.")
    units: int
    expected_units: float = pydantic.Field(description="By the weights of the times at which units were first seen.")
    units_with_feedback: int
    feedback_share: float | None
    feedback_delay_seconds: dict[str, float] | None = pydantic.Field(
        description="From the prediction to its feedback: `p50`, `p90` and `p99`."
    )


class ChiSquaredTest(documents.Document):
    """A chi-squared test, which raises an alarm when p < 0.001."""

    p: float | None
    statistic: float | None
    alarm: bool
    stray_units: int = pydantic.Field(description="Units in an arm that had no weight when they were first seen.")
    reason: str | None = pydantic.Field(description=_REASON)


class Verdict(documents.Document):
    """What is advised."""

    kind: Literal["unhealthy", "no_data", "keep_running", "ship", "roll_back", "your_call"]
    arm: str | None = pydantic.Field(description="The arm that is meant.")
    reasons: list[str]
    days_left: float | None = pydantic.Field(description="About how many days more, where that can be told.")


class Duration(documents.Document):
    """How long an arm has to run to find the smallest effect of interest."""

    units_needed: int | None = pydantic.Field(description="Of the arm and the control together.")
    days_left: float | None
    reason: str | None = pydantic.Field(description=_REASON)


class CoursePoint(documents.Document):
    """The goal's effect by the units that were first seen until the end of a day."""

    day: str = pydantic.Field(description="In UTC.")
    arm: str
    units: int = pydantic.Field(description="Of the arm and the control together.")
    estimate: float | None
    sequence: Interval | None
    reason: str | None = pydantic.Field(description=_REASON)


class ThompsonWeights(documents.Document):
    """The weights that Thompson sampling would give to the arms."""

    shares: dict[str, float] | None
    reason: str | None = pydantic.Field(description=_REASON)


class ExperimentReport(documents.Document):
    """What an experiment has shown so far."""

    deployment: str
    revision: int
    experiment: RunningExperiment
    reported_at: str
    verdict: Verdict
    warnings: list[str]
    arms: list[ReportedArm]
    sample_ratio: ChiSquaredTest
    feedback_shares: ChiSquaredTest
    units_in_two_arms: int = pydantic.Field(description="They count for the arm that they met first.")
    metrics: list[MeasuredMetric]
    durations: dict[str, Duration] = pydantic.Field(description="By arm.")
    over_time: list[CoursePoint]
    thompson_weights: ThompsonWeights


class ArmSums(documents.Document):
    """Sums over the units that were first seen in an arm on a day, of one metric: y is a unit's value."""

    day: str
    arm: str
    metric: str
    per: Literal["prediction", "unit"]
    role: Literal["goal", "guardrail"]
    units: int
    total: float = pydantic.Field(description="The sum of y.")
    squares: float = pydantic.Field(description="The sum of y squared.")
    denominator_total: float | None = pydantic.Field(description="The sum of x, a unit's predictions with feedback.")
    denominator_squares: float | None = pydantic.Field(description="The sum of x squared.")
    products: float | None = pydantic.Field(description="The sum of x times y.")


class ExperimentSums(documents.Document):
    """The sums that the report is computed from; those of different days add up."""

    sums: list[ArmSums]


@blueprint.get("/<name>/experiment", responses={200: ExperimentReport})
@auth.needs("read")
def show(path: documents.NamePath) -> flask.Response:
    """Report what a deployment's experiment has shown so far, by units and not by requests."""
    return answers.json(experiments.show(*context.databases_and_tenant(), path.name))


@blueprint.get("/<name>/experiment/sums", responses={200: ExperimentSums})
@auth.needs("read")
def show_sums(path: documents.NamePath) -> flask.Response:
    """Show the sums that the report is computed from, by day, arm and metric."""
    return answers.json({"sums": experiments.list_sums(*context.databases_and_tenant(), path.name)})


@blueprint.get(
    "/<name>/experiment/sums.csv",
    responses={200: {"description": "The sums", "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
@auth.needs("read")
def download_sums(path: documents.NamePath) -> flask.Response:
    """Download the sums that the report is computed from as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(ArmSums.model_fields))
    writer.writeheader()
    writer.writerows(experiments.list_sums(*context.databases_and_tenant(), path.name))
    return flask.Response(
        text.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{path.name}-experiment.csv"'},
    )
