"""Feature sets: fit, apply, list, show, delete."""

from typing import Annotated, Any, Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, list_queries, queries
from api.intake import deletion, marking
from api.intake.serving import lookups
from api.processing import aggregates, joins, publications, tables
from api.reads import features, named_versions
from shared import contract
from shared.processing.applying import HISTORY, HistoryKey
from shared.recipe.language import Recipe

blueprint = flask_openapi.APIBlueprint("features", __name__, url_prefix="/v1/features", abp_tags=[{"name": "features"}])
BLUEPRINTS = (blueprint, publications.blueprint, tables.blueprint, joins.blueprint, aggregates.blueprint)

# Only described here: the kind's contract validates it, and its errors have JSON pointers into the recipe.
_Recipe = Annotated[Any, pydantic.PlainValidator(lambda value: value, json_schema_input_type=Recipe)]


class FitRequest(contract.Document):
    """What to fit; the feature set's name is in the path."""

    dataset: contract.DatasetRef
    recipe: _Recipe = pydantic.Field(description="The steps that make features of columns.")
    target: str | None = pydantic.Field(
        default=None,
        max_length=1000,
        description="The column to predict, which is copied, never transformed; without it every column is a feature.",
    )
    problem: Literal["classification", "regression"] | None = pydantic.Field(
        default=None, description="How steps that learn from the target treat it; follows from its type when left out."
    )


class ApplyRequest(contract.Document):
    """What to apply a feature set to."""

    dataset: contract.DatasetRef
    version: int | None = pydantic.Field(
        default=None, ge=1, description="The feature set's version; the latest when left out."
    )
    name: contract.Name | None = pydantic.Field(
        default=None, description="The name of the dataset of which the result is a new version."
    )
    history: contract.DatasetRef | Literal[False] | None = pydantic.Field(default=None, description=HISTORY)
    history_key: HistoryKey = pydantic.Field(default=[])


class FeaturesSummary(documents.Version):
    """A version of a feature set, as lists show it."""

    columns: list[str] = pydantic.Field(description="The columns that the recipe makes, in order.")
    target: str | None = pydantic.Field(description="The column to predict; null when none was named.")


class FeaturesVersionList(documents.VersionList):
    """A feature set's versions, newest first."""

    versions: list[FeaturesSummary]


class FeaturesDetail(FeaturesSummary):
    """A version of a feature set: its recipe, the columns that it makes and its lineage."""

    recipe: dict[str, Any]
    notes: list[str]
    lineage: dict[str, Any]


@blueprint.post("/<name>", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def fit(path: documents.NamePath, body: FitRequest, query: queries.SubmitQuery) -> flask.Response:
    """Fit a recipe on a dataset; the result is the next version of a feature set."""
    return answers.submit("processing.fit", {**_set_fields(body), "name": path.name}, **query.to_options())


@blueprint.post("/<name>/apply", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def apply(path: documents.NamePath, body: ApplyRequest, query: queries.SubmitQuery) -> flask.Response:
    """Apply a feature set to a dataset; the result is a new version of a dataset."""
    params = _set_fields(body)
    label = params.pop("version", None) or "latest"
    return answers.submit("processing.apply", {**params, "features": f"{path.name}@{label}"}, **query.to_options())


def _set_fields(body: pydantic.BaseModel) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude_none=True)


@blueprint.get("", responses={200: documents.NameList})
@auth.needs("read")
def list_features(query: documents.NamesQuery) -> flask.Response:
    """List feature sets by name."""
    return answers.json(
        named_versions.list_names(
            *context.databases_and_tenant(), features.TYPE, limit=query.limit, cursor=query.cursor
        )
    )


@blueprint.get("/<name>", responses={200: FeaturesVersionList})
@auth.needs("read")
def show_features(path: documents.NamePath, query: list_queries.MarkedQuery) -> flask.Response:
    """Show a feature set's versions, newest first."""
    chosen = list_queries.parse_marked(query)
    return answers.json(
        features.page(*context.databases_and_tenant(), path.name, chosen, limit=query.limit, cursor=query.cursor)
    )


@blueprint.get("/<name>/versions/<version:version>", responses={200: FeaturesDetail})
@auth.needs("read")
def show_version(path: documents.VersionPath) -> flask.Response:
    """Show a version: its recipe, the columns that it makes and its lineage."""
    return answers.json(features.show(*context.databases_and_tenant(), path.name, path.number))


@blueprint.patch("/<name>/versions/<int:version>", responses={200: FeaturesDetail})
@auth.needs("write")
def change_version(path: documents.NumberPath, body: documents.MarksRequest) -> flask.Response:
    """Change a version's tags, its note or both."""
    databases, tenant_id = context.databases_and_tenant()
    row = features.find(databases, tenant_id, path.name, path.version)
    marking.change_version(databases, features.place(), row, body.to_changes())
    return answers.json(features.show(databases, tenant_id, path.name, path.version))


@blueprint.delete("/<name>/versions/<int:version>", responses={204: None})
@auth.needs("write")
def delete_version(path: documents.NumberPath) -> flask.Response:
    """Delete a version; jobs that were accepted before can still read it."""
    databases, tenant_id = context.databases_and_tenant()
    row = features.find(databases, tenant_id, path.name, path.version)
    lookups.require_not_looked_up(databases, row)
    deletion.delete(databases, features.place(), row)
    return flask.Response(status=204)
