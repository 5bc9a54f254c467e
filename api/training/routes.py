"""Models: train, list, show, alias, export."""

from typing import Any, Literal

import flask
import flask_openapi
import pydantic
import sqlalchemy as sa

from api import answers, auth, documents, door, pages
from api.training import aliases
from shared import contract, errors
from shared.training import tables

models = flask_openapi.APIBlueprint("models", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}])
BLUEPRINTS = (models,)
_ROLE = "training"


class TrainRequest(contract.Document):
    """What to train, as GET /v1/kinds describes training.fit; the name stands in the path."""

    dataset: contract.DatasetRef | None = None
    features: contract.FeaturesRef | None = None
    target: str = pydantic.Field(min_length=1, max_length=1000, description="The column to predict.")
    problem: Literal["classification", "regression"] = pydantic.Field(description="What sort of prediction it is.")
    estimator: dict[str, pydantic.JsonValue] = pydantic.Field(
        description="What learns: `name`, and `params` as scikit-learn documents them.",
        json_schema_extra={"examples": [{"name": "LogisticRegression", "params": {"max_iter": 1000}}]},
    )
    recipe: dict[str, pydantic.JsonValue] | None = pydantic.Field(default=None, description="Feature engineering.")
    validation: dict[str, pydantic.JsonValue] | None = pydantic.Field(
        default=None,
        description="How to validate.",
        json_schema_extra={"examples": [{"method": "cross_validation", "folds": 5, "seed": 7}]},
    )
    seed: int | None = pydantic.Field(default=None, ge=0, le=2**32 - 1, description="Seeds the estimator.")


class AliasPath(documents.NamePath):
    """An alias's path."""

    alias: contract.Name


class AliasRequest(contract.Document):
    """What an alias is to stand for."""

    version: int = pydantic.Field(ge=1, le=2**31 - 1, description="The version, counted from 1.")


class Alias(documents.Document):
    """A name for a model's version."""

    name: str
    alias: str
    version: int
    updated_at: str


class ModelSummary(pages.Version):
    """A model's version in a list."""

    problem: str
    target: str
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


class ExportQuery(pydantic.BaseModel):
    """In which form to export a model."""

    model_config = pydantic.ConfigDict(extra="forbid")

    format: Literal["skops"] = pydantic.Field(default="skops", description="The form of the bytes.")


@models.post("/<name>", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def train(path: documents.NamePath, body: TrainRequest) -> flask.Response:
    """Train a model's next version."""
    params = body.model_dump(mode="json", exclude_none=True)
    return answers.submit(answers.order("training.fit", {**params, "name": path.name}, where="#"))


@models.get("", responses={200: pages.NameList})
@auth.needs("read")
def list_models(query: documents.NamesQuery) -> flask.Response:
    """List models by name."""
    return pages.names([_ROLE], tables.models, query)


@models.get("/<name>", responses={200: ModelVersionList})
@auth.needs("read")
def show_model(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """Show a model's versions, newest first, each with its aliases."""
    held = aliases.by_version(path.name)
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
    document = {**_describe(row), **{name: getattr(row, name) for name in shown}}
    return answers.json({**document, "aliases": aliases.by_version(path.name).get(row.version, [])})


@models.put("/<name>/aliases/<alias>", responses={200: Alias})
@auth.needs("write")
def set_alias(path: AliasPath, body: AliasRequest) -> flask.Response:
    """Let an alias stand for a version."""
    if path.alias == "latest" or path.alias.isdecimal():
        raise errors.InvalidRequestError(
            f"{path.alias!r} can't be an alias, because {path.name}@{path.alias} means something else; give a word.",
            problems=[errors.Problem(f"{path.alias!r} is taken", "#/alias")],
        )
    row = pages.find(_ROLE, tables.model_versions, documents.VersionPath(name=path.name, version=body.version))
    return answers.json(aliases.put(row, path.alias))


@models.get(
    "/<name>/versions/<int:version>/export",
    responses={
        200: {
            "description": "The artifact",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
@auth.needs("read")
def export(path: documents.VersionPath, query: ExportQuery) -> flask.Response:
    """Export a version's artifact."""
    row = pages.find(_ROLE, tables.model_versions, path)
    file = door.current().store.path_of(row.key)
    if not file.exists():
        raise errors.NotFoundError(f"The artifact of {path.name}@{path.version} is gone from the store.")
    response = door.current().arrivals.streamed(
        door.client().key_id,
        lambda: flask.send_file(file, mimetype="application/octet-stream", etag=row.sha256),
    )
    response.headers["Content-Disposition"] = f'attachment; filename="{path.name}-{path.version}.{query.format}"'
    return response


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        **pages.common(row),
        "problem": row.problem,
        "target": row.target,
        "estimator": row.estimator,
        "metrics": row.metrics,
    }
