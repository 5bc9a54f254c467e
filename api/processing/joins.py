"""Joins of a dataset with another one."""

import flask
import flask_openapi
import pydantic

from api import answers, auth, documents, queries
from api.processing import made_of
from shared.processing.joins import JoinRules

blueprint = flask_openapi.APIBlueprint("joins", __name__, url_prefix="/v1/datasets", abp_tags=[{"name": "datasets"}])


class JoinRequest(JoinRules):
    """What to join with a dataset, the left one, whose name is in the path."""

    version: int | None = pydantic.Field(
        default=None, ge=1, description="The left dataset's version; the latest when left out."
    )


@blueprint.post("/<name>/join", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def join(path: documents.NamePath, body: JoinRequest, query: queries.SubmitQuery) -> flask.Response:
    """Join a dataset with another one; the result is a new version of a dataset."""
    params = made_of.to_params(path.name, body, field="left")
    return answers.submit("processing.join", params, **query.to_options())
