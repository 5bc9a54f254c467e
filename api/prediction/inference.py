"""Predictions of a few rows through the queue."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, documents, queries
from api.intake.deployment_pins import NoSuchDeploymentError
from shared import contract, errors
from shared.prediction.contract import MAX_INSTANCES

blueprint = flask_openapi.APIBlueprint(
    "inference", __name__, url_prefix="/v1/deployments", abp_tags=[{"name": "deployments"}]
)
_UNIT_HEADER = "Millrace-Unit"
_MAX_UNIT_LENGTH = 1000


class InferRequest(contract.Document):
    """Rows to predict."""

    instances: list[dict[str, Any]] = pydantic.Field(
        min_length=1,
        max_length=MAX_INSTANCES,
        description="The rows, each an object with values by column; null, or left out in some rows, is missing.",
        examples=[[{"tenure": 12, "contract": "monthly"}]],
    )


@blueprint.post("/<name>/predictions", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def infer(path: documents.NamePath, body: InferRequest, query: queries.SubmitQuery) -> flask.Response:
    """Predict rows through the queue; what waits for the same deployment is predicted together.

    The header `Millrace-Unit` names whom the rows are of, and decides which version answers. The inference server
    answers the same request at once.
    """
    params = {"deployment": path.name, "instances": body.instances, "unit": _read_unit()}
    try:
        return answers.submit("prediction.infer", params, **query.to_options())
    except NoSuchDeploymentError as error:
        raise errors.NotFoundError(error.message) from error


def _read_unit() -> str | None:
    unit = flask.request.headers.get(_UNIT_HEADER)
    if unit is not None and len(unit) > _MAX_UNIT_LENGTH:
        raise errors.MalformedRequestError(
            f"{_UNIT_HEADER} has {len(unit)} characters; it may have {_MAX_UNIT_LENGTH} at most."
        )
    return unit
