"""The registry's view of models: aliases with their history, what differs between versions, lineage."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.intake import alias_changes
from api.reads import aliases, comparison, lineage, models
from shared import contract

blueprint = flask_openapi.APIBlueprint(
    "model_registry", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}]
)


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
    updated_by: str = pydantic.Field(description="The id of the key that set it.")


class AliasList(documents.Document):
    """A model's aliases in alphabetical order."""

    aliases: list[Alias]
    next_cursor: str | None


class AliasChange(documents.Document):
    """A change of what an alias stands for."""

    version: int | None = pydantic.Field(description="What it stood for from then on; null: it was removed.")
    changed_at: str
    changed_by: str = pydantic.Field(description="The id of the key that changed it.")
    archive_sha256: str | None = pydantic.Field(description="SHA-256 of the archive that brought it, if one did.")


class AliasHistory(documents.Document):
    """All that an alias has stood for, newest first."""

    name: str
    alias: str
    changes: list[AliasChange]
    next_cursor: str | None


class CompareQuery(pydantic.BaseModel):
    """Which versions to hold against each other."""

    model_config = pydantic.ConfigDict(extra="forbid")

    versions: str = pydantic.Field(
        min_length=3,
        max_length=700,
        description="Two to ten versions with commas between them: numbers, aliases or `latest`.",
        examples=["1,3"],
    )


class MetricDifference(documents.Document):
    """A metric that is not the same in all versions."""

    values: dict[str, Any] = pydantic.Field(description="Its mean over the folds, by version.")
    difference: dict[str, float | None] = pydantic.Field(description="How much it is above the first version's.")


class Comparison(documents.Document):
    """What differs between versions; whatever is the same in all of them is left out."""

    name: str
    versions: list[int] = pydantic.Field(description="In the order in which they were asked for.")
    metrics: dict[str, MetricDifference]
    parameters: dict[str, dict[str, Any]] = pydantic.Field(description="The estimator's parameters, by version.")
    recipe: dict[str, list[dict[str, Any]]] = pydantic.Field(
        description="By version, the steps that not every version has, each with its place in `step`."
    )
    columns: dict[str, dict[str, Any]] = pydantic.Field(description="Columns taken or left out, by version.")
    data: dict[str, dict[str, Any]] = pydantic.Field(description="What they were trained on, by version.")
    libraries: dict[str, dict[str, Any]] = pydantic.Field(description="Versions of libraries, by version.")
    model: dict[str, dict[str, Any]] = pydantic.Field(description="Estimator, artifact and code, by version.")


class LineageQuery(pydantic.BaseModel):
    """How far to look."""

    model_config = pydantic.ConfigDict(extra="forbid")

    depth: int = pydantic.Field(default=10, ge=1, le=20, description="Steps from the model, in either direction.")
    limit: int = pydantic.Field(default=200, ge=1, le=1000, description="How many things at the most.")


class Node(documents.Document):
    """A thing that something was made of, or that was made."""

    id: str
    type: str = pydantic.Field(description="`source`, `dataset`, `features`, `model` or `evaluation`.")
    name: str
    version: int | None
    sha256: str | None
    created_at: str | None
    job: str | None = pydantic.Field(description="The job that made it.")
    status: str = pydantic.Field(
        description="`present`, `deleted`, `missing` where no row tells of it, or `unavailable` where the database "
        "that would tell can't be reached."
    )


class Edge(pydantic.BaseModel):
    """That one thing was made of another."""

    model_config = pydantic.ConfigDict(extra="forbid", populate_by_name=True)

    source: str = pydantic.Field(alias="from", description="The id of what it was made of.")
    to: str = pydantic.Field(description="The id of what was made.")
    by: str | None = pydantic.Field(description="The job that made it.")


class Lineage(documents.Document):
    """What a model's version was made of, and what was made with it."""

    root: str
    nodes: list[Node]
    edges: list[Edge]
    truncated: bool = pydantic.Field(description="Whether there may be more than `depth` and `limit` let through.")
    unavailable: list[str] = pydantic.Field(description="Roles whose database can't be reached, and so are left out.")


@blueprint.get("/<name>/aliases", responses={200: AliasList})
@auth.needs("read")
def list_aliases(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """List a model's aliases in alphabetical order."""
    databases, tenant_id = context.reading()
    models.require(databases, tenant_id, path.name)
    return answers.json(aliases.page(databases, tenant_id, path.name, limit=query.limit, cursor=query.cursor))


@blueprint.put("/<name>/aliases/<alias>", responses={200: Alias})
@auth.needs("write")
def set_alias(path: AliasPath, body: AliasRequest) -> flask.Response:
    """Let an alias stand for a version."""
    databases, tenant_id = context.reading()
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
    changes = aliases.history(*context.reading(), path.name, path.alias, limit=query.limit, cursor=query.cursor)
    return answers.json(changes)


@blueprint.get("/<name>/compare", responses={200: Comparison})
@auth.needs("read")
def compare(path: documents.NamePath, query: CompareQuery) -> flask.Response:
    """Show what differs between versions, and only that."""
    labels = comparison.labels_of(query.versions)
    return answers.json(models.compare(*context.reading(), path.name, labels))


@blueprint.get("/<name>/versions/<int:version>/lineage", responses={200: Lineage})
@auth.needs("read")
def show_lineage(path: documents.VersionPath, query: LineageQuery) -> flask.Response:
    """Show what a version was made of, up to the sources of its data, and what was made with it."""
    root = (models.TYPE, f"{path.name}@{path.version}")
    return answers.json(lineage.graph(*context.reading(), root, depth=query.depth, limit=query.limit))
