"""Evaluations: score, list, show."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.reads import evaluations as reading
from shared.evaluation import contract as evaluation
from shared.evaluation import gates

evaluations = flask_openapi.APIBlueprint(
    "evaluations", __name__, url_prefix="/v1/evaluations", abp_tags=[{"name": "evaluations"}]
)
BLUEPRINTS = (evaluations,)


class EvaluationPath(pydantic.BaseModel):
    """An evaluation's path."""

    evaluation_id: str = pydantic.Field(max_length=64, description="The evaluation's id.")


class Evaluation(documents.Document):
    """How well a model's version did on a dataset."""

    id: str
    model: str
    dataset: str
    metrics: dict[str, float]
    rows: int
    skipped_rows: int
    intervals: dict[str, evaluation.Interval]
    comparison: evaluation.Comparison | None
    slices: list[evaluation.Slice]
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


@evaluations.post("", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def score(body: evaluation.ScoreModel) -> flask.Response:
    """Score a model's version on a dataset with known targets."""
    return answers.submit("evaluation.score", body.model_dump(mode="json"))


@evaluations.get("", responses={200: EvaluationList})
@auth.needs("read")
def list_evaluations(query: documents.NamesQuery) -> flask.Response:
    """List evaluations, newest first."""
    return answers.json(reading.page(*context.reading(), limit=query.limit, cursor=query.cursor))


@evaluations.get("/<evaluation_id>", responses={200: Evaluation})
@auth.needs("read")
def show(path: EvaluationPath) -> flask.Response:
    """Show an evaluation."""
    return answers.json(reading.show(*context.reading(), path.evaluation_id))
