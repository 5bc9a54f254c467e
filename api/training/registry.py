"""The registry's view of models: aliases with their history, what differs between versions, lineage."""

import re
from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, documents, door, pages
from api.training import aliases, comparison, lineage
from shared import contract, database, errors, versions
from shared.training import aliases as kept
from shared.training import tables

registry = flask_openapi.APIBlueprint(
    "model_registry", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}]
)
_ROLE = "training"
_MOST_COMPARED = 10
_LABEL = re.compile(r"[0-9]{1,9}|(?![0-9]+$)[a-z0-9][a-z0-9._-]{0,62}")


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


@registry.get("/<name>/aliases", responses={200: AliasList})
@auth.needs("read")
def list_aliases(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """List a model's aliases in alphabetical order."""
    _require(path.name)
    shown, cursor = aliases.page(path.name, query)
    return answers.json({"aliases": shown, "next_cursor": cursor})


@registry.put("/<name>/aliases/<alias>", responses={200: Alias})
@auth.needs("write")
def set_alias(path: AliasPath, body: AliasRequest) -> flask.Response:
    """Let an alias stand for a version."""
    if not kept.is_free(path.alias):
        raise errors.InvalidRequestError(
            f"{path.alias!r} can't be an alias, because {path.name}@{path.alias} means something else; give a word.",
            problems=[errors.Problem(f"{path.alias!r} is taken", "#/alias")],
        )
    row = pages.find(_ROLE, tables.model_versions, documents.VersionPath(name=path.name, version=body.version))
    return answers.json(aliases.put(row, path.alias))


@registry.delete("/<name>/aliases/<alias>", responses={204: None})
@auth.needs("write")
def remove_alias(path: AliasPath) -> flask.Response:
    """Remove an alias; its history stays."""
    aliases.remove(path.name, path.alias)
    return flask.Response(status=204)


@registry.get("/<name>/aliases/<alias>/history", responses={200: AliasHistory})
@auth.needs("read")
def show_history(path: AliasPath, query: documents.NamesQuery) -> flask.Response:
    """Show what an alias has stood for, newest first."""
    changes, cursor = aliases.history(path.name, path.alias, query)
    return answers.json({"name": path.name, "alias": path.alias, "changes": changes, "next_cursor": cursor})


@registry.get("/<name>/compare", responses={200: Comparison})
@auth.needs("read")
def compare(path: documents.NamePath, query: CompareQuery) -> flask.Response:
    """Show what differs between versions, and only that."""
    rows = [_version(path.name, label) for label in _labels(query.versions)]
    numbers = [row.version for row in rows]
    if len(set(numbers)) < len(numbers):
        raise _no_comparison(f"{query.versions!r} names a version twice")
    return answers.json({"name": path.name, "versions": numbers, **comparison.compare(rows)})


@registry.get("/<name>/versions/<int:version>/lineage", responses={200: lineage.Lineage})
@auth.needs("read")
def show_lineage(path: documents.VersionPath, query: lineage.LineageQuery) -> flask.Response:
    """Show what a version was made of, up to the sources of its data, and what was made with it."""
    root = ("model", f"{path.name}@{path.version}")
    graph = lineage.graph(root, depth=query.depth, limit=query.limit)
    if graph["nodes"][0]["status"] == "missing":
        raise errors.NotFoundError(f"There is no {path.name}@{path.version} here.")
    return answers.json(graph)


def _require(name: str) -> None:
    """Raise NotFoundError when there is no model of a name."""
    with database.available(_ROLE), door.current().databases[_ROLE].statements.connect() as connection:
        found = versions.find(
            connection, tables.model_versions, tenant_id=door.client().tenant_id, name=name, version=None
        )
    if found is None:
        raise errors.NotFoundError(f"There is no model {name!r}.")


def _labels(text: str) -> list[str]:
    labels = [label.strip() for label in text.split(",")]
    if not 2 <= len(labels) <= _MOST_COMPARED or not all(_LABEL.fullmatch(label) for label in labels):
        raise _no_comparison(f"{text[:80]!r} is no list of two to ten versions")
    return labels


def _version(name: str, label: str) -> Any:
    """Read the version that a label stands for; raises NotFoundError when it stands for none."""
    number = int(label) if label.isdecimal() else None
    if number is None and label != "latest":
        number = aliases.version_of(name, label)
    with database.available(_ROLE), door.current().databases[_ROLE].statements.connect() as connection:
        row = versions.find(
            connection, tables.model_versions, tenant_id=door.client().tenant_id, name=name, version=number
        )
    if row is None:
        raise errors.NotFoundError(f"There is no {name}@{label} here.")
    return row


def _no_comparison(fault: str) -> errors.InvalidRequestError:
    problem = errors.Problem(f"{fault}; give two to ten, such as `1,3` or `champion,latest`", "#/versions")
    return errors.InvalidRequestError("These versions can't be compared.", problems=[problem])
