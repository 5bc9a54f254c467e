"""What makes datasets of datasets: split."""

import flask
import flask_openapi
import pydantic

from api import answers, auth, documents, queries
from api.processing import made_of
from shared import contract
from shared.processing import splits

blueprint = flask_openapi.APIBlueprint("tables", __name__, url_prefix="/v1/datasets", abp_tags=[{"name": "datasets"}])


class SplitRequest(contract.Document):
    """How to split a dataset, whose name is in the path."""

    version: int | None = pydantic.Field(
        default=None, ge=1, description="The dataset's version; the latest when left out."
    )
    parts: splits.Parts
    by: splits.By = None
    seed: splits.Seed = None
    name: splits.Name = None


@blueprint.post("/<name>/split", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def split(path: documents.NamePath, body: SplitRequest, query: queries.SubmitQuery) -> flask.Response:
    """Split a dataset into parts, each of them a new version of a dataset."""
    return answers.submit("processing.split", made_of.to_params(path.name, body), **query.to_options())
