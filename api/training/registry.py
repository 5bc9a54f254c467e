"""The model registry: aliases with their history, differences between versions, lineage."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, queries
from api.intake import alias_changes
from api.reads import aliases, comparison, lineage, models
from shared import contract

blueprint = flask_openapi.APIBlueprint(
    "model_registry", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}]
)


class AliasPath(documents.NamePath):
    """A model's name and an alias, in the path."""

    alias: contract.Name


class AliasRequest(contract.Document):
    """The version that an alias is to stand for."""

    version: int = pydantic.Field(ge=1, le=2**31 - 1, description="The version, counted from 1.")


class Alias(documents.Document):
    """A name for a version of a model."""

    name: str
    alias: str
    version: int
    updated_at: str
    updated_by: str = pydantic.Field(description="The id of the API key that set it.")


class AliasList(documents.Document):
    """A model's aliases in alphabetical order."""

    aliases: list[Alias]
    next_cursor: str | None


class AliasChange(documents.Document):
    """A change of the version that an alias stands for."""

    version: int | None = pydantic.Field(
        description="The version that it stood for from then on; null when it was removed."
    )
    changed_at: str
    changed_by: str = pydantic.Field(description="The id of the API key that changed it.")
    archive_sha256: str | None = pydantic.Field(
        description="The SHA-256 of the archive with which the change was imported; null when it was made here."
    )


class AliasHistory(documents.Document):
    """Every version that an alias has stood for, newest first."""

    name: str
    alias: str
    changes: list[AliasChange]
    next_cursor: str | None


class CompareQuery(queries.Query):
    """Which versions to compare."""

    versions: str = pydantic.Field(
        min_length=3,
        max_length=700,
        description="Two to ten versions, separated by commas: numbers, aliases or `latest`.",
        examples=["1,3"],
    )


class MetricDifference(documents.Document):
    """A metric that differs between versions."""

    values: dict[str, Any] = pydantic.Field(description="The metric's mean over the folds, by version.")
    difference: dict[str, float | None] = pydantic.Field(
        description="The metric's value minus that of the first version, by version."
    )


class Comparison(documents.Document):
    """The differences between versions; what is the same in all of them is left out."""

    name: str
    versions: list[int] = pydantic.Field(description="The versions, in the order of the request.")
    metrics: dict[str, MetricDifference]
    parameters: dict[str, dict[str, Any]] = pydantic.Field(description="The estimator's parameters, by version.")
    recipe: dict[str, list[dict[str, Any]]] = pydantic.Field(
        description="By version, the steps that not every version has; `step` is a step's position, counted from 1."
    )
    columns: dict[str, dict[str, Any]] = pydantic.Field(description="Columns that are used or left out, by version.")
    data: dict[str, dict[str, Any]] = pydantic.Field(description="The training data, by version.")
    libraries: dict[str, dict[str, Any]] = pydantic.Field(description="The versions of libraries, by version.")
    model: dict[str, dict[str, Any]] = pydantic.Field(description="Estimator, artifact and code, by version.")


class LineageQuery(queries.Query):
    """How much of a lineage to show."""

    depth: int = pydantic.Field(
        default=10, ge=1, le=20, description="How many steps from the model, in either direction."
    )
    limit: int = pydantic.Field(default=200, ge=1, le=1000, description="How many nodes at most.")


class Node(documents.Document):
    """A source, a dataset, a feature set, a model or an evaluation in a lineage."""

    id: str
    type: str = pydantic.Field(description="`source`, `dataset`, `features`, `model` or `evaluation`.")
    name: str
    version: int | None
    sha256: str | None
    created_at: str | None
    job: str | None = pydantic.Field(description="The job that made it.")
    status: str = pydantic.Field(
        description="`present`, `deleted`, `missing` when it has no row, or `unavailable` when the database that may "
        "have its row can't be reached."
    )


class Edge(pydantic.BaseModel):
    """One node was made of another."""

    model_config = pydantic.ConfigDict(extra="forbid", populate_by_name=True)

    source: str = pydantic.Field(alias="from", description="The id of the node that it was made of.")
    to: str = pydantic.Field(description="The id of the node that was made.")
    by: str | None = pydantic.Field(description="The job that made it.")


class Lineage(documents.Document):
    """What a version of a model was made of, and what was made with it."""

    root: str
    nodes: list[Node]
    edges: list[Edge]
    truncated: bool = pydantic.Field(description="Whether `depth` or `limit` may have cut nodes off.")
    unavailable: list[str] = pydantic.Field(
        description="Roles that are missing here, because their database can't be reached."
    )


@blueprint.get("/<name>/aliases", responses={200: AliasList})
@auth.needs("read")
def list_aliases(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """List a model's aliases in alphabetical order."""
    databases, tenant_id = context.databases_and_tenant()
    models.require(databases, tenant_id, path.name)
    return answers.json(aliases.page(databases, tenant_id, path.name, limit=query.limit, cursor=query.cursor))


@blueprint.put("/<name>/aliases/<alias>", responses={200: Alias})
@auth.needs("write")
def set_alias(path: AliasPath, body: AliasRequest) -> flask.Response:
    """Set an alias to a version."""
    databases, tenant_id = context.databases_and_tenant()
    alias_changes.check(path.name, path.alias)
    row = models.find(databases, tenant_id, path.name, body.version)
    return answers.json(alias_changes.put(databases, row, path.alias, client=context.client()))


@blueprint.delete("/<name>/aliases/<alias>", responses={204: None})
@auth.needs("write")
def remove_alias(path: AliasPath) -> flask.Response:
    """Remove an alias; its history stays."""
    alias_changes.remove(context.current().databases, path.name, path.alias, client=context.client())
    return flask.Response(status=204)


@blueprint.get("/<name>/aliases/<alias>/history", responses={200: AliasHistory})
@auth.needs("read")
def show_history(path: AliasPath, query: documents.NamesQuery) -> flask.Response:
    """Show what an alias has stood for, newest first."""
    changes = aliases.history(
        *context.databases_and_tenant(), path.name, path.alias, limit=query.limit, cursor=query.cursor
    )
    return answers.json(changes)


@blueprint.get("/<name>/compare", responses={200: Comparison})
@auth.needs("read")
def compare(path: documents.NamePath, query: CompareQuery) -> flask.Response:
    """Show the differences between versions."""
    labels = comparison.parse_labels(query.versions)
    return answers.json(models.compare(*context.databases_and_tenant(), path.name, labels))


@blueprint.get("/<name>/versions/<version:version>/lineage", responses={200: Lineage})
@auth.needs("read")
def show_lineage(path: documents.VersionPath, query: LineageQuery) -> flask.Response:
    """Show what a version was made of, up to the sources of its data, and what was made with it."""
    databases, tenant_id = context.databases_and_tenant()
    number = path.number or models.find(databases, tenant_id, path.name, None).version
    root = (models.TYPE, f"{path.name}@{number}")
    return answers.json(lineage.graph(databases, tenant_id, root, depth=query.depth, limit=query.limit))
