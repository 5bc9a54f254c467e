"""Aggregations of a dataset."""

import flask
import flask_openapi
import pydantic

from api import answers, auth, documents, queries
from api.processing import made_of
from shared.processing.aggregates import AggregateRules

blueprint = flask_openapi.APIBlueprint(
    "aggregates", __name__, url_prefix="/v1/datasets", abp_tags=[{"name": "datasets"}]
)


class AggregateRequest(AggregateRules):
    """What to compute of a dataset, whose name is in the path."""

    version: int | None = pydantic.Field(
        default=None, ge=1, description="The dataset's version; the latest when left out."
    )


@blueprint.post("/<name>/aggregate", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def aggregate(path: documents.NamePath, body: AggregateRequest, query: queries.SubmitQuery) -> flask.Response:
    """Compute measures of groups of a dataset's rows; the result is a new version of a dataset."""
    return answers.submit("processing.aggregate", made_of.to_params(path.name, body), **query.to_options())
