"""Models: train, list, show, delete."""

from typing import Any, Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.intake import deletion
from api.reads import models, named_versions
from api.training import exports, registry, updates
from shared.training.details import Details
from shared.training.estimators.document import Estimator
from shared.training.search.methods import Search
from shared.training.search.spaces import Candidate
from shared.training.setup import Setup

blueprint = flask_openapi.APIBlueprint("models", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}])
BLUEPRINTS = (blueprint, registry.blueprint, exports.blueprint, updates.blueprint)
_CONFLICT = {
    "description": "An alias stands for the version; the detail names it",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class TrainRequest(Setup):
    """What to train; the model's name is in the path. With `search` or `estimators` it is a search."""

    estimator: Estimator | None = pydantic.Field(default=None, description="The algorithm and its parameters.")
    estimators: list[Candidate] | Literal["auto"] | None = pydantic.Field(
        default=None, description="Several algorithms to compare, each with its search space; `auto` chooses them."
    )
    search: Search | None = pydantic.Field(default=None, description="How to search for parameters.")


class ModelSummary(documents.Version):
    """A version of a model, as lists show it."""

    problem: str
    target: str | None
    estimator: dict[str, Any]
    metrics: dict[str, Any]
    aliases: list[str]


class ModelVersionList(documents.VersionList):
    """A model's versions, newest first."""

    versions: list[ModelSummary]


class ModelDetail(ModelSummary):
    """A version of a model: metrics, parameters, signature, lineage, library versions."""

    rows: int
    recipe: dict[str, Any]
    signature: dict[str, Any]
    dropped_columns: dict[str, str]
    warnings: list[str]
    notes: list[str]
    libraries: dict[str, Any]
    lineage: dict[str, Any]
    details: Details


@blueprint.post("/<name>", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def train(path: documents.NamePath, body: TrainRequest) -> flask.Response:
    """Train the next version of a model."""
    fields = body.model_dump(mode="json", exclude_unset=True)
    params = {name: value for name, value in fields.items() if value is not None}
    kind = "training.search" if {"search", "estimators"} & params.keys() else "training.fit"
    return answers.submit(kind, {**params, "name": path.name})


@blueprint.get("", responses={200: documents.NameList})
@auth.needs("read")
def list_models(query: documents.NamesQuery) -> flask.Response:
    """List models by name."""
    return answers.json(
        named_versions.list_names(*context.databases_and_tenant(), models.TYPE, limit=query.limit, cursor=query.cursor)
    )


@blueprint.get("/<name>", responses={200: ModelVersionList})
@auth.needs("read")
def show_model(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """Show a model's versions, newest first, each with its aliases."""
    return answers.json(models.page(*context.databases_and_tenant(), path.name, limit=query.limit, cursor=query.cursor))


@blueprint.get("/<name>/versions/<int:version>", responses={200: ModelDetail})
@auth.needs("read")
def show_version(path: documents.VersionPath) -> flask.Response:
    """Show a version: metrics, parameters, signature, lineage, library versions."""
    return answers.json(models.show(*context.databases_and_tenant(), path.name, path.version))


@blueprint.delete("/<name>/versions/<int:version>", responses={204: None, 409: _CONFLICT})
@auth.needs("write")
def delete_version(path: documents.VersionPath) -> flask.Response:
    """Delete a version that no alias stands for; jobs that were accepted before can still read it."""
    databases, tenant_id = context.databases_and_tenant()
    row = models.find(databases, tenant_id, path.name, path.version)
    deletion.delete(databases, models.place(), row)
    return flask.Response(status=204)
