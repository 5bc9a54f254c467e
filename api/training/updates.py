"""Updates of a model's version: incremental training on more rows."""

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, queries
from api.reads import models
from shared import contract
from shared.recipe import expressions
from shared.training import validations

blueprint = flask_openapi.APIBlueprint(
    "model_updates", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}]
)


class UpdateRequest(contract.Document):
    """What to train on; the version to start from is in the path."""

    dataset: contract.DatasetRef = pydantic.Field(description="The dataset with the new rows, and with the target.")
    target: validations.ColumnName | None = pydantic.Field(
        default=None, description="The target column, if it has another name in the new rows."
    )
    where: expressions.Text | None = pydantic.Field(
        default=None, description="Which of the new rows to train on: those of which this is true."
    )
    batches: int | None = pydantic.Field(
        default=None, ge=1, le=1000, description="In how many batches of consecutive rows to train; 5 by default."
    )


@blueprint.post("/<name>/versions/<version:version>/updates", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def update(path: documents.VersionPath, body: UpdateRequest, query: queries.SubmitQuery) -> flask.Response:
    """Train a version on more rows; the result is the model's next version."""
    row = models.find(*context.databases_and_tenant(), path.name, path.number)
    params = {"model": f"{row.name}@{row.version}", **body.model_dump(mode="json", exclude_none=True)}
    return answers.submit("training.update", params, **query.to_options())
