"""Feature sets: fit, apply, list, show, delete."""

from typing import Annotated, Any, Literal

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents
from api.intake import deletion
from api.reads import features, versions
from shared import contract
from shared.recipe.language import Recipe

blueprint = flask_openapi.APIBlueprint("features", __name__, url_prefix="/v1/features", abp_tags=[{"name": "features"}])
BLUEPRINTS = (blueprint,)

# Described here, and validated by the kind's contract, which points at a fault inside by a true JSON pointer.
_Recipe = Annotated[Any, pydantic.PlainValidator(lambda given: given, json_schema_input_type=Recipe)]


class FitRequest(contract.Document):
    """What to fit; the name stands in the path."""

    dataset: contract.DatasetRef
    recipe: _Recipe = pydantic.Field(description="What to do to which columns.")
    target: str | None = pydantic.Field(
        default=None, max_length=1000, description="A column that is passed on as it is, never transformed."
    )
    problem: Literal["classification", "regression"] | None = pydantic.Field(
        default=None, description="What the target is to steps that learn from it; told by its type when left out."
    )


class ApplyRequest(contract.Document):
    """What to apply a feature set to."""

    dataset: contract.DatasetRef
    version: int | None = pydantic.Field(default=None, ge=1, description="The feature set's version; else the latest.")
    name: contract.Name | None = pydantic.Field(default=None, description="The dataset to make a version of.")


class FeaturesSummary(documents.Version):
    """A feature set's version in a list."""

    columns: list[str] = pydantic.Field(description="The columns that the recipe makes, in order.")


class FeaturesVersionList(documents.VersionList):
    """A feature set's versions, newest first."""

    versions: list[FeaturesSummary]


class FeaturesDetail(FeaturesSummary):
    """A feature set's version: its recipe, the columns that it makes and where it came from."""

    recipe: dict[str, Any]
    notes: list[str]
    lineage: dict[str, Any]


@blueprint.post("/<name>", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def fit(path: documents.NamePath, body: FitRequest) -> flask.Response:
    """Fit a recipe on a dataset, as the next version of a feature set."""
    return answers.submit("processing.fit", {**_given(body), "name": path.name})


@blueprint.post("/<name>/apply", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def apply(path: documents.NamePath, body: ApplyRequest) -> flask.Response:
    """Apply a feature set to a dataset, as a new version of a dataset."""
    params = _given(body)
    label = params.pop("version", None) or "latest"
    return answers.submit("processing.apply", {**params, "features": f"{path.name}@{label}"})


def _given(body: pydantic.BaseModel) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude_none=True)


@blueprint.get("", responses={200: documents.NameList})
@auth.needs("read")
def list_features(query: documents.NamesQuery) -> flask.Response:
    """List feature sets by name."""
    return answers.json(versions.names(*context.reading(), features.TYPE, limit=query.limit, cursor=query.cursor))


@blueprint.get("/<name>", responses={200: FeaturesVersionList})
@auth.needs("read")
def show_features(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """Show a feature set's versions, newest first."""
    return answers.json(features.page(*context.reading(), path.name, limit=query.limit, cursor=query.cursor))


@blueprint.get("/<name>/versions/<int:version>", responses={200: FeaturesDetail})
@auth.needs("read")
def show_version(path: documents.VersionPath) -> flask.Response:
    """Show a version: its recipe, the columns that it makes and where it came from."""
    return answers.json(features.show(*context.reading(), path.name, path.version))


@blueprint.delete("/<name>/versions/<int:version>", responses={204: None})
@auth.needs("write")
def delete_version(path: documents.VersionPath) -> flask.Response:
    """Delete a version; jobs that have pinned it already can still read it."""
    databases, tenant_id = context.reading()
    row = features.find(databases, tenant_id, path.name, path.version)
    deletion.delete(databases, features.place(), row)
    return flask.Response(status=204)
