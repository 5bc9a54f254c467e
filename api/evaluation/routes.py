"""Evaluations: score, list, show."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, list_queries, queries
from api.intake import marking
from api.reads import criteria, evaluations
from shared import positive_class
from shared.evaluation import gates
from shared.evaluation.contract import Comparison, Interval, ScoreModel, Slice
from shared.evaluation.details import EvaluationDetails
from shared.recipe import conditions

blueprint = flask_openapi.APIBlueprint(
    "evaluations", __name__, url_prefix="/v1/evaluations", abp_tags=[{"name": "evaluations"}]
)
BLUEPRINTS = (blueprint,)


class EvaluationPath(pydantic.BaseModel):
    """An evaluation's id, in the path."""

    evaluation_id: str = pydantic.Field(max_length=64, description="The evaluation's id.")


class EvaluationsQuery(list_queries.RankedQuery):
    """Which evaluations to list, and in which order."""

    model: str | None = pydantic.Field(default=None, max_length=128, description=list_queries.MODEL)
    dataset: str | None = pydantic.Field(default=None, max_length=128, description=list_queries.DATASET)


class Evaluation(documents.Document):
    """How well a version of a model predicts a dataset."""

    id: str
    model: str
    dataset: str
    metrics: dict[str, float]
    positive: positive_class.Label | None
    undefined: dict[str, str]
    rows: int
    skipped_rows: int
    where: conditions.KeptRows | None
    intervals: dict[str, Interval]
    comparison: Comparison | None
    slices: list[Slice]
    gate: gates.Verdict | None
    warnings: list[str]
    lineage: dict[str, Any]
    job_id: str
    created_at: str
    created_by: str
    tags: list[str]
    note: str | None


class EvaluationDetail(Evaluation):
    """An evaluation with the curves and tables of the rows that were scored."""

    details: EvaluationDetails
    baseline_details: EvaluationDetails | None


class EvaluationList(documents.Document):
    """Evaluations, newest first or sorted by a metric."""

    evaluations: list[Evaluation]
    next_cursor: str | None


@blueprint.post("", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def score(body: ScoreModel, query: queries.SubmitQuery) -> flask.Response:
    """Score a version of a model on a dataset with known targets."""
    return answers.submit("evaluation.score", body.model_dump(mode="json"), **query.to_options())


@blueprint.get("", responses={200: EvaluationList})
@auth.needs("read")
def list_evaluations(query: EvaluationsQuery) -> flask.Response:
    """List evaluations, newest first or sorted by a metric."""
    chosen = evaluations.Filter(
        model=criteria.parse_reference(query.model, field="model"),
        dataset=criteria.parse_reference(query.dataset, field="dataset"),
        **list_queries.parse(query),
    )
    page = evaluations.page(*context.databases_and_tenant(), chosen, limit=query.limit, cursor=query.cursor)
    return answers.json(page)


@blueprint.get("/<evaluation_id>", responses={200: EvaluationDetail})
@auth.needs("read")
def show(path: EvaluationPath) -> flask.Response:
    """Show an evaluation: metrics, comparison, slices, verdict, curves and tables."""
    return answers.json(evaluations.show(*context.databases_and_tenant(), path.evaluation_id))


@blueprint.patch("/<evaluation_id>", responses={200: EvaluationDetail})
@auth.needs("write")
def change(path: EvaluationPath, body: documents.MarksRequest) -> flask.Response:
    """Change an evaluation's tags, its note or both."""
    databases, tenant_id = context.databases_and_tenant()
    marking.change_evaluation(databases, tenant_id, path.evaluation_id, body.to_changes())
    return answers.json(evaluations.show(databases, tenant_id, path.evaluation_id))
