"""Models: train, list, show, delete."""

from typing import Any, Literal

import flask
import flask_openapi
import pydantic
import sqlalchemy as sa

from api import answers, auth, documents, pages
from api.training import aliases, exports, registry, removal, updates
from shared.training import details as explanations
from shared.training import experiments, tables
from shared.training import search as searches

models = flask_openapi.APIBlueprint("models", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}])
BLUEPRINTS = (models, registry.registry, exports.exports, updates.updates)
_ROLE = "training"


class TrainRequest(experiments.Setup):
    """What to train; the name stands in the path. With `search` or `estimators` it is a search."""

    estimator: experiments.Estimator | None = pydantic.Field(default=None, description="What learns.")
    estimators: list[searches.Candidate] | Literal["auto"] | None = pydantic.Field(
        default=None, description="Several algorithms side by side, each with what is tried; `auto` chooses them."
    )
    search: searches.Search | None = pydantic.Field(default=None, description="How parameters are sought.")


class ModelSummary(pages.Version):
    """A model's version in a list."""

    problem: str
    target: str | None
    estimator: dict[str, Any]
    metrics: dict[str, Any]
    aliases: list[str]


class ModelVersionList(pages.VersionList):
    """A model's versions, newest first."""

    versions: list[ModelSummary]


class ModelDetail(ModelSummary):
    """A model's version: metrics, parameters, signature, lineage, library versions."""

    rows: int
    recipe: dict[str, Any]
    signature: dict[str, Any]
    dropped_columns: dict[str, str]
    warnings: list[str]
    notes: list[str]
    libraries: dict[str, Any]
    lineage: dict[str, Any]
    details: explanations.Details


@models.post("/<name>", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def train(path: documents.NamePath, body: TrainRequest) -> flask.Response:
    """Train a model's next version."""
    given = body.model_dump(mode="json", exclude_unset=True)
    params = {name: value for name, value in given.items() if value is not None}
    kind = "training.search" if {"search", "estimators"} & params.keys() else "training.fit"
    return answers.submit(answers.order(kind, {**params, "name": path.name}, where="#"))


@models.get("", responses={200: pages.NameList})
@auth.needs("read")
def list_models(query: documents.NamesQuery) -> flask.Response:
    """List models by name."""
    return pages.names([_ROLE], tables.models, query)


@models.get("/<name>", responses={200: ModelVersionList})
@auth.needs("read")
def show_model(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """Show a model's versions, newest first, each with its aliases."""
    held = aliases.of_page(path.name, query)
    return pages.version_list(
        _ROLE,
        tables.model_versions,
        path.name,
        query,
        describe=lambda row: {**_describe(row), "aliases": held.get(row.version, [])},
    )


@models.get("/<name>/versions/<int:version>", responses={200: ModelDetail})
@auth.needs("read")
def show_version(path: documents.VersionPath) -> flask.Response:
    """Show a version: metrics, parameters, signature, lineage, library versions."""
    row = pages.find(_ROLE, tables.model_versions, path)
    shown = ("rows", "recipe", "signature", "dropped_columns", "warnings", "notes", "libraries", "lineage")
    document = {**_describe(row), **{name: getattr(row, name) for name in shown}, "details": row.details or {}}
    return answers.json({**document, "aliases": aliases.of_versions(path.name, [row.version]).get(row.version, [])})


@models.delete("/<name>/versions/<int:version>", responses={204: None, 409: removal.CONFLICT})
@auth.needs("write")
def delete_version(path: documents.VersionPath) -> flask.Response:
    """Delete a version that no alias stands for; jobs that have pinned it already can still read it."""
    removal.delete(pages.find(_ROLE, tables.model_versions, path))
    return flask.Response(status=204)


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        **pages.common(row),
        "problem": row.problem,
        "target": row.target,
        "estimator": row.estimator,
        "metrics": row.metrics,
    }
