"""Query parameters of lists that are filtered and sorted."""

from typing import Any

import pydantic

from api import documents, queries
from api.reads import criteria, jobs, named_versions
from shared.jobs.states import State

PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
MODEL = "Only of this model: a name, `churn`, or one version of it, `churn@3`."
DATASET = "Only of this dataset: a name, `telco`, or one version of it, `telco@2`."


class MarkedQuery(documents.NamesQuery):
    """Which page of a list to show, and of what: by a tag, and by when it was created."""

    tag: queries.Tag | None = pydantic.Field(default=None, description="Only what has this tag.")
    since: str | None = pydantic.Field(
        default=None, max_length=40, description="Only what was created at this time (RFC 3339) or later."
    )
    until: str | None = pydantic.Field(
        default=None, max_length=40, description="Only what was created before this time (RFC 3339)."
    )


class JobQuery(MarkedQuery):
    """Which jobs to list."""

    role: str | None = pydantic.Field(default=None, max_length=32, description="Only jobs of this role.")
    kind: str | None = pydantic.Field(default=None, max_length=64, description="Only jobs of this kind.")
    state: State | None = pydantic.Field(default=None, description="Only jobs in this state.")
    model: str | None = pydantic.Field(
        default=None,
        max_length=128,
        description="Only jobs that use or make this model, `churn`, or that use one version of it, `churn@3`. Jobs of "
        "a search are found by their parent only.",
    )
    dataset: str | None = pydantic.Field(
        default=None,
        max_length=128,
        description="Only jobs that use or make this dataset, `telco`, or that use one version of it, `telco@2`.",
    )


class LogQuery(queries.Query):
    """Which lines of a job to show."""

    after: int = pydantic.Field(
        default=0, ge=0, le=2**53 - 1, description="Only lines behind this one: `next` of the answer before."
    )
    limit: int = pydantic.Field(default=100, ge=1, le=1000, description="How many lines at most.")
    attempt: int | None = pydantic.Field(default=None, ge=0, le=2**31 - 1, description="Only lines of this attempt.")


class RankedQuery(MarkedQuery):
    """Which page of a list that has metrics, and in which order."""

    metric: str | None = pydantic.Field(
        default=None,
        max_length=3000,
        pattern=PRINTABLE,
        description="Only where a metric has such a value, `roc_auc>=0.8`, with one of `>=`, `<=`, `>`, `<` and `=`; "
        'several separated by commas, or as JSON: `["roc_auc>=0.8"]`. For models it is the mean over the folds.',
    )
    sort: str | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=201,
        pattern=PRINTABLE,
        description="A metric, `roc_auc`, the least first, or `-roc_auc`, the greatest first; what lacks it comes "
        "last. Without it, or with `-created_at`, the newest comes first.",
    )


def parse_jobs(query: JobQuery) -> jobs.Filter:
    """Read which jobs to list; raises InvalidRequestError."""
    return jobs.Filter(
        role=query.role,
        kind=query.kind,
        state=query.state,
        tag=query.tag,
        model=criteria.parse_reference(query.model, field="model"),
        dataset=criteria.parse_reference(query.dataset, field="dataset"),
        period=criteria.parse_period(query.since, query.until),
    )


def parse_marked(query: MarkedQuery) -> named_versions.Filter:
    """Read which versions of a name to list; raises InvalidRequestError."""
    return named_versions.Filter(tag=query.tag, period=criteria.parse_period(query.since, query.until))


def parse(query: RankedQuery) -> dict[str, Any]:
    """Read the tag, the period, the conditions on metrics and the order; raises InvalidRequestError."""
    return {
        "tag": query.tag,
        "period": criteria.parse_period(query.since, query.until),
        "bounds": criteria.parse_bounds(query.metric),
        "sort": criteria.parse_sort(query.sort),
    }
