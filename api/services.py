"""Kinds of jobs, and the roles with their live workers and queues."""

import flask
import flask_openapi

from api import answers, auth, context, documents
from api.reads import services

blueprint = flask_openapi.APIBlueprint("services", __name__, url_prefix="/v1", abp_tags=[{"name": "services"}])


@blueprint.get("/kinds", responses={200: documents.KindList})
@auth.needs("read")
def list_kinds() -> flask.Response:
    """List every kind of job, with the JSON Schemas of its parameters and its result."""
    return answers.json(services.list_kinds())


@blueprint.get("/services", responses={200: documents.ServiceList})
@auth.needs("read")
def list_services() -> flask.Response:
    """List every role with its live workers, queue depth and oldest wait."""
    current = context.current()
    return answers.json(services.list_services(current.databases, config=current.config))
