"""Feedback: what became true of predictions."""

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.intake.serving import feedback
from shared.prediction.feedback import Feedback

blueprint = flask_openapi.APIBlueprint(
    "feedback", __name__, url_prefix="/v1/deployments", abp_tags=[{"name": "deployments"}]
)


class Refused(documents.Document):
    """An item that was not stored."""

    detail: str = pydantic.Field(description="What is wrong with it.")
    pointer: str = pydantic.Field(description="Where it is in the body.")


class StoredFeedback(documents.Document):
    """What was stored of the items."""

    stored: int = pydantic.Field(description="Predictions of which something is known now.")
    errors: list[Refused] = pydantic.Field(description="The items that were not stored; all others were.")


@blueprint.post("/<name>/feedback", responses={200: StoredFeedback})
@auth.needs("write")
def give(path: documents.NamePath, body: Feedback) -> flask.Response:
    """Say what became true of predictions, however late; said again of the same prediction, the last holds."""
    return answers.json(feedback.store(*context.databases_and_tenant(), path.name, body))
