"""Moving canaries by hand: approve, pause, resume and abort, each with a reason for the deployment's history."""

from collections.abc import Callable

import flask
import flask_openapi

from api import auth, context, documents
from api.intake.serving import canaries
from api.prediction import deployments
from api.prediction.canary_documents import ReasonRequest
from api.prediction.deployments import DeploymentDetail

blueprint = flask_openapi.APIBlueprint(
    "canaries", __name__, url_prefix="/v1/deployments", abp_tags=[{"name": "deployments"}]
)


@blueprint.post("/<name>/approve", responses={200: DeploymentDetail})
@auth.needs("write")
def approve(path: documents.NamePath, body: ReasonRequest) -> flask.Response:
    """Let a canary go on to its next step, whatever its gate says; the last step promotes it."""
    return _move(canaries.approve, path.name, body)


@blueprint.post("/<name>/pause", responses={200: DeploymentDetail})
@auth.needs("write")
def pause(path: documents.NamePath, body: ReasonRequest) -> flask.Response:
    """Leave a canary at its step until it is resumed, approved or aborted."""
    return _move(canaries.pause, path.name, body)


@blueprint.post("/<name>/resume", responses={200: DeploymentDetail})
@auth.needs("write")
def resume(path: documents.NamePath, body: ReasonRequest) -> flask.Response:
    """Let the gate of a paused canary check on."""
    return _move(canaries.resume, path.name, body)


@blueprint.post("/<name>/abort", responses={200: DeploymentDetail})
@auth.needs("write")
def abort(path: documents.NamePath, body: ReasonRequest) -> flask.Response:
    """Take a canary out at once; the other routes get back what they had."""
    return _move(canaries.abort, path.name, body)


def _move(move: Callable[..., None], name: str, body: ReasonRequest) -> flask.Response:
    move(
        context.current().databases,
        name,
        client=context.client(),
        reason=body.reason,
        expected_revision=deployments.read_expected_revision(),
    )
    return deployments.answer(name)
