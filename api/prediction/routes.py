"""Batch predictions: all rows of a dataset in one job."""

import flask
import flask_openapi

from api import answers, auth, documents, queries
from api.prediction import canaries, deployments, experiments, feedback, inference, logs, shadows
from shared.prediction.contract import PredictBatch

blueprint = flask_openapi.APIBlueprint(
    "predictions", __name__, url_prefix="/v1/predictions", abp_tags=[{"name": "predictions"}]
)
BLUEPRINTS = (
    blueprint,
    deployments.blueprint,
    canaries.blueprint,
    experiments.blueprint,
    feedback.blueprint,
    inference.blueprint,
    logs.blueprint,
    shadows.blueprint,
)


@blueprint.post("", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def predict(body: PredictBatch, query: queries.SubmitQuery) -> flask.Response:
    """Predict every row of a dataset; the result is a new version of a dataset."""
    return answers.submit("prediction.batch", body.model_dump(mode="json"), **query.to_options())
