"""Evaluations: score, list, show."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.reads import evaluations
from shared.evaluation import gates
from shared.evaluation.contract import Comparison, Interval, ScoreModel, Slice

blueprint = flask_openapi.APIBlueprint(
    "evaluations", __name__, url_prefix="/v1/evaluations", abp_tags=[{"name": "evaluations"}]
)
BLUEPRINTS = (blueprint,)


class EvaluationPath(pydantic.BaseModel):
    """An evaluation's id, in the path."""

    evaluation_id: str = pydantic.Field(max_length=64, description="The evaluation's id.")


class Evaluation(documents.Document):
    """How well a version of a model predicts a dataset."""

    id: str
    model: str
    dataset: str
    metrics: dict[str, float]
    rows: int
    skipped_rows: int
    intervals: dict[str, Interval]
    comparison: Comparison | None
    slices: list[Slice]
    gate: gates.Verdict | None
    warnings: list[str]
    lineage: dict[str, Any]
    job_id: str
    created_at: str
    created_by: str


class EvaluationList(documents.Document):
    """Evaluations, newest first."""

    evaluations: list[Evaluation]
    next_cursor: str | None


@blueprint.post("", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def score(body: ScoreModel) -> flask.Response:
    """Score a version of a model on a dataset with known targets."""
    return answers.submit("evaluation.score", body.model_dump(mode="json"))


@blueprint.get("", responses={200: EvaluationList})
@auth.needs("read")
def list_evaluations(query: documents.NamesQuery) -> flask.Response:
    """List evaluations, newest first."""
    return answers.json(evaluations.page(*context.databases_and_tenant(), limit=query.limit, cursor=query.cursor))


@blueprint.get("/<evaluation_id>", responses={200: Evaluation})
@auth.needs("read")
def show(path: EvaluationPath) -> flask.Response:
    """Show an evaluation."""
    return answers.json(evaluations.show(*context.databases_and_tenant(), path.evaluation_id))
