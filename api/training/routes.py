"""Models: train, list, show, delete."""

from typing import Any, Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, list_queries, queries
from api.intake import deletion, marking
from api.intake.serving import deployments
from api.reads import criteria, models, named_versions
from api.training import exports, imports, registry, updates
from shared import positive_class
from shared.training.details import Details
from shared.training.estimators.document import Estimator
from shared.training.search.methods import Search
from shared.training.search.spaces import Candidate
from shared.training.setup import Setup

blueprint = flask_openapi.APIBlueprint("models", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}])
all_versions = flask_openapi.APIBlueprint(
    "model_versions", __name__, url_prefix="/v1/model-versions", abp_tags=[{"name": "models"}]
)
BLUEPRINTS = (blueprint, all_versions, registry.blueprint, exports.blueprint, imports.blueprint, updates.blueprint)
_CONFLICT = {
    "description": "An alias stands for the version, or a deployment needs it; the detail names it",
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
    positive: positive_class.Label | None
    estimator: dict[str, Any]
    metrics: dict[str, Any]
    aliases: list[str]


class ModelVersionList(documents.VersionList):
    """A model's versions, newest first or sorted by a metric."""

    versions: list[ModelSummary]


class AllModelVersions(documents.Document):
    """Versions of any models, newest first or sorted by a metric."""

    versions: list[ModelSummary]
    next_cursor: str | None


class VersionsQuery(list_queries.RankedQuery):
    """Which versions to list, and in which order."""

    dataset: str | None = pydantic.Field(
        default=None,
        max_length=128,
        description="Only those trained on this dataset: a name, `telco`, or one version of it, `telco@2`.",
    )


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
def train(path: documents.NamePath, body: TrainRequest, query: queries.SubmitQuery) -> flask.Response:
    """Train the next version of a model."""
    fields = body.model_dump(mode="json", exclude_unset=True)
    params = {name: value for name, value in fields.items() if value is not None}
    kind = "training.search" if {"search", "estimators"} & params.keys() else "training.fit"
    return answers.submit(kind, {**params, "name": path.name}, **query.to_options())


@blueprint.get("", responses={200: documents.NameList})
@auth.needs("read")
def list_models(query: documents.NamesQuery) -> flask.Response:
    """List models by name."""
    return answers.json(
        named_versions.list_names(*context.databases_and_tenant(), models.TYPE, limit=query.limit, cursor=query.cursor)
    )


@blueprint.get("/<name>", responses={200: ModelVersionList})
@auth.needs("read")
def show_model(path: documents.NamePath, query: VersionsQuery) -> flask.Response:
    """Show a model's versions, newest first or sorted by a metric, each with its aliases."""
    return answers.json(_page(path.name, query))


@all_versions.get("", responses={200: AllModelVersions})
@auth.needs("read")
def list_versions(query: VersionsQuery) -> flask.Response:
    """List the versions of all models, newest first or sorted by a metric, each with its aliases."""
    return answers.json(_page(None, query))


def _page(name: str | None, query: VersionsQuery) -> dict[str, Any]:
    dataset = criteria.parse_reference(query.dataset, field="dataset")
    chosen = criteria.Filter(dataset=dataset, **list_queries.parse(query))
    return models.page(*context.databases_and_tenant(), name, chosen, limit=query.limit, cursor=query.cursor)


@blueprint.get("/<name>/versions/<version:version>", responses={200: ModelDetail})
@auth.needs("read")
def show_version(path: documents.VersionPath) -> flask.Response:
    """Show a version: metrics, parameters, signature, lineage, library versions."""
    return answers.json(models.show(*context.databases_and_tenant(), path.name, path.number))


@blueprint.patch("/<name>/versions/<int:version>", responses={200: ModelDetail})
@auth.needs("write")
def change_version(path: documents.NumberPath, body: documents.MarksRequest) -> flask.Response:
    """Change a version's tags, its note or both."""
    databases, tenant_id = context.databases_and_tenant()
    row = models.find(databases, tenant_id, path.name, path.version)
    marking.change_version(databases, models.place(), row, body.to_changes())
    return answers.json(models.show(databases, tenant_id, path.name, path.version))


@blueprint.delete("/<name>/versions/<int:version>", responses={204: None, 409: _CONFLICT})
@auth.needs("write")
def delete_version(path: documents.NumberPath) -> flask.Response:
    """Delete a version that no alias stands for and no deployment needs; jobs accepted before can still read it."""
    databases, tenant_id = context.databases_and_tenant()
    row = models.find(databases, tenant_id, path.name, path.version)
    deployments.require_not_deployed(databases, row)
    deletion.delete(databases, models.place(), row)
    return flask.Response(status=204)
