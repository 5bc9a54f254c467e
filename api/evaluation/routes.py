"""Evaluations: score, list, show."""

from typing import Any

import flask
import flask_openapi
import pydantic
import sqlalchemy as sa

from api import answers, auth, documents, door
from shared import clock, database, errors
from shared.evaluation import contract as evaluation
from shared.evaluation import gates, tables

evaluations = flask_openapi.APIBlueprint(
    "evaluations", __name__, url_prefix="/v1/evaluations", abp_tags=[{"name": "evaluations"}]
)
BLUEPRINTS = (evaluations,)
_ROLE = "evaluation"
_ID = r"evaluation_[0-7][0-9A-HJKMNP-TV-Z]{25}"


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
    return answers.submit(answers.order("evaluation.score", body.model_dump(mode="json"), where="#"))


@evaluations.get("", responses={200: EvaluationList})
@auth.needs("read")
def list_evaluations(query: documents.NamesQuery) -> flask.Response:
    """List evaluations, newest first."""
    table = tables.evaluations
    wanted = sa.select(table).where(table.c.tenant_id == door.client().tenant_id)
    before = answers.read_cursor(query.cursor, pattern=_ID)
    if before is not None:
        wanted = wanted.where(table.c.id < before)
    with database.available(_ROLE), door.current().databases[_ROLE].statements.connect() as connection:
        rows = connection.execute(wanted.order_by(table.c.id.desc()).limit(query.limit + 1)).all()
    shown = rows[: query.limit]
    return answers.json(
        {
            "evaluations": [_describe(row) for row in shown],
            "next_cursor": answers.cursor_for(shown[-1].id) if len(rows) > query.limit else None,
        }
    )


@evaluations.get("/<evaluation_id>", responses={200: Evaluation})
@auth.needs("read")
def show(path: EvaluationPath) -> flask.Response:
    """Show an evaluation."""
    table = tables.evaluations
    with database.available(_ROLE), door.current().databases[_ROLE].statements.connect() as connection:
        row = connection.execute(
            sa.select(table).where(table.c.id == path.evaluation_id, table.c.tenant_id == door.client().tenant_id)
        ).one_or_none()
    if row is None:
        raise errors.NotFoundError(f"There is no evaluation {path.evaluation_id!r}.")
    return answers.json(_describe(row))


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    shown = set(Evaluation.model_fields) - {"created_at"}
    return {**{name: getattr(row, name) for name in sorted(shown)}, "created_at": clock.to_text(row.created_at)}
