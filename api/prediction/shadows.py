"""The report of a deployment's shadows."""

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.reads import shadows

blueprint = flask_openapi.APIBlueprint(
    "shadows", __name__, url_prefix="/v1/deployments", abp_tags=[{"name": "deployments"}]
)


class Reason(documents.Document):
    """How many rows were lost, or failed, for a reason."""

    reason: str
    rows: int


class ConfusedPair(documents.Document):
    """How many rows had one label from the version that answered, and one from the shadow."""

    answered: str
    shadow: str
    rows: int


class Differences(documents.Document):
    """How a shadow's values of a column differ from those that were answered."""

    column: str
    rows: int
    mean: float | None = pydantic.Field(description="Of the shadow's value minus the answered one.")
    mean_size: float | None = pydantic.Field(description="Of the difference without its sign.")
    greatest_size: float | None
    quantiles: dict[str, float] | None = pydantic.Field(
        description="Of the shadow's value minus the answered one, within 5 %: `p1` to `p99`."
    )
    size_quantiles: dict[str, float] | None = pydantic.Field(
        description="Of the difference without its sign: `p50`, `p95` and `p99`."
    )


class Latency(documents.Document):
    """How long predicting requests took, in seconds."""

    requests: int
    mean_seconds: float
    p50: float
    p90: float
    p99: float


class Latencies(documents.Document):
    """How long both versions take."""

    served: Latency | None = pydantic.Field(description="The version that answered, in the copies.")
    replayed_answering: Latency | None = pydantic.Field(
        description="The version that answered, in the worker, where some requests are predicted once more by both "
        "versions, one by one and by the library. Compare this with `replayed_shadow`."
    )
    replayed_shadow: Latency | None = pydantic.Field(description="The shadow with the same requests in the worker.")


class ComparedVersion(documents.Document):
    """A shadow beside a version that answered."""

    version: str = pydantic.Field(description="The version that answered, as `name@version`.")
    rows: int
    agreement: float | None = pydantic.Field(description="The share of rows with the same label; null for numbers.")
    confusion: list[ConfusedPair] = pydantic.Field(description="Pairs of labels, the most frequent first.")
    differences: list[Differences] = pydantic.Field(description="Of probabilities, scores and predicted numbers.")
    latency: Latencies


class ComparedSegment(documents.Document):
    """The rows with a value in a column."""

    column: str
    value: str
    rows: int
    agreement: float | None
    mean_distance: float = pydantic.Field(
        description="How far the scores are apart: of numbers the prediction's difference, of probabilities half the "
        "sum of all differences, from 0 to 1."
    )


class ReportedShadow(documents.Document):
    """What a shadow has said."""

    model: str = pydantic.Field(description="The reference under which the deployment names it.")
    version: int
    is_current: bool = pydantic.Field(description="False for a version that its alias stood for earlier.")
    percent: float
    since_revision: int = pydantic.Field(description="The deployment's revision with which it began.")
    rows: int = pydantic.Field(description="Rows that it predicted, beside what another version answered.")
    agreement: float | None = pydantic.Field(description="The share of rows with the same label; null for numbers.")
    failed_rows: int = pydantic.Field(description="Rows that it couldn't predict.")
    failure_rate: float | None
    failures: list[Reason] = pydantic.Field(description="Why, the most frequent first.")
    lost_rows: int = pydantic.Field(description="Rows that were sampled for it and never got to it.")
    losses: list[Reason] = pydantic.Field(description="Why, the most frequent first.")
    answering: list[ComparedVersion] = pydantic.Field(description="By the version that answered.")
    worst_segments: list[ComparedSegment] = pydantic.Field(
        description="Where it differs most, of segments with at least 20 rows: by agreement, or by distance."
    )


class ShadowReport(documents.Document):
    """What the shadows of a deployment have said since each began."""

    deployment: str
    revision: int
    reported_at: str
    shadows: list[ReportedShadow]


@blueprint.get("/<name>/shadow", responses={200: ShadowReport})
@auth.needs("read")
def show(path: documents.NamePath) -> flask.Response:
    """Report how a deployment's shadows compare with the versions that answered."""
    return answers.json(shadows.show(*context.databases_and_tenant(), path.name))
