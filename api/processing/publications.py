"""What is published of feature sets, one row a key, for look-up by deployments."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, queries
from api.intake.serving import pushed_rows
from api.reads import publications
from shared import contract
from shared.processing.publications import Key
from shared.processing.pushes import PushRows

blueprint = flask_openapi.APIBlueprint(
    "publications", __name__, url_prefix="/v1/features", abp_tags=[{"name": "features"}]
)


class PublishRequest(contract.Document):
    """What to publish; the feature set's name is in the path."""

    dataset: contract.DatasetRef
    version: int | None = pydantic.Field(
        default=None, ge=1, description="The feature set's version; the latest when left out."
    )
    key: Key = pydantic.Field(description="The dataset's columns by whose values a row is looked up.")
    time: str | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="The dataset's time by which the latest row of each key is taken; without it a key may come once.",
    )


class Publication(documents.Document):
    """What is published of a version by one key."""

    features: str = pydantic.Field(description="The feature set's version, as `name@version`.")
    key: list[contract.Column]
    columns: list[contract.Column]
    dataset: str = pydantic.Field(description="The dataset that the features are of, as `name@version`.")
    rows: int
    bytes: int
    sha256: str
    pushed_rows: int = pydantic.Field(description="How many keys have values that were pushed since.")
    job_id: str
    published_at: str


class Publications(documents.Document):
    """What is published of a feature set, the latest version first."""

    publications: list[Publication]


@blueprint.post("/<name>/publish", responses={200: documents.Job, 202: documents.Job})
@auth.needs("write")
def publish(path: documents.NamePath, body: PublishRequest, query: queries.SubmitQuery) -> flask.Response:
    """Publish a feature set, applied to a dataset, as one row a key; it takes the place of what was published."""
    params: dict[str, Any] = body.model_dump(mode="json", exclude_none=True)
    label = params.pop("version", None) or "latest"
    return answers.submit("processing.publish", {**params, "features": f"{path.name}@{label}"}, **query.to_options())


@blueprint.get("/<name>/publications", responses={200: Publications})
@auth.needs("read")
def list_publications(path: documents.NamePath) -> flask.Response:
    """List what is published of a feature set, the latest version first."""
    databases, tenant_id = context.databases_and_tenant()
    return answers.json({"publications": publications.list_published(databases, tenant_id, path.name)})


class Pushed(documents.Document):
    """Where rows were pushed."""

    features: str = pydantic.Field(description="The feature set's version, as `name@version`.")
    key: list[str] = pydantic.Field(description="The columns of the key.")
    rows: int = pydantic.Field(description="How many keys got new values.")
    push: int = pydantic.Field(description="The number of this push; later ones have greater numbers.")


@blueprint.put("/<name>/rows", responses={200: Pushed})
@auth.needs("write")
def push(path: documents.NamePath, body: PushRows) -> flask.Response:
    """Push rows over what is published of their keys, all or none; copies see them within two seconds."""
    return answers.json(pushed_rows.push(*context.databases_and_tenant(), path.name, body))
