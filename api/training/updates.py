"""Updates of a model's version: let it learn from more rows."""

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.reads import models
from shared import contract
from shared.training import validations

blueprint = flask_openapi.APIBlueprint(
    "model_updates", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}]
)


class UpdateRequest(contract.Document):
    """What to learn on from; the version stands in the path."""

    dataset: contract.DatasetRef = pydantic.Field(description="The new rows, with the target under its name.")
    target: validations.ColumnName | None = pydantic.Field(
        default=None, description="The column to predict, where the new rows have it under another name."
    )
    batches: int | None = pydantic.Field(
        default=None, ge=1, le=1000, description="In how many parts, in the order of the rows, it learns; 5 by default."
    )


@blueprint.post("/<name>/versions/<int:version>/updates", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def update(path: documents.VersionPath, body: UpdateRequest) -> flask.Response:
    """Let a version learn from more rows, as the model's next version."""
    row = models.find(*context.reading(), path.name, path.version)
    params = {"model": f"{row.name}@{row.version}", **body.model_dump(mode="json", exclude_none=True)}
    return answers.submit("training.update", params)
