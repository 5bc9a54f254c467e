"""Pipelines: put, check, list, show, retire."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, bodies, context, documents
from api.intake import revisions
from api.intake.pipelines import putting
from api.reads.pipelines import versions
from shared.orchestration.language import parsing, plans
from shared.orchestration.language.document import Pipeline

blueprint = flask_openapi.APIBlueprint(
    "pipelines", __name__, url_prefix="/v1/pipelines", abp_tags=[{"name": "pipelines"}]
)


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    """Put what a schema refers to in its place: its own definitions can't be referred to within the whole document."""
    if isinstance(node, list):
        return [_inline(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = {**definitions[node["$ref"].removeprefix("#/$defs/")], **node}
    return {key: _inline(value, definitions) for key, value in node.items() if key not in {"$ref", "$defs"}}


_OWN_SCHEMA = Pipeline.model_json_schema()
_SCHEMA = {"schema": _inline(_OWN_SCHEMA, _OWN_SCHEMA["$defs"])}
_BODY = {"required": True, "content": dict.fromkeys(("application/json", "application/yaml"), _SCHEMA)}


class PipelineSummary(documents.Document):
    """A pipeline, as lists show it."""

    name: str
    version: int = pydantic.Field(description="Its latest version.")
    steps: int = pydantic.Field(description="How many steps this has.")
    created_at: str
    updated_at: str


class PipelineList(documents.Document):
    """Pipelines in alphabetical order."""

    pipelines: list[PipelineSummary]
    next_cursor: str | None


class PipelineVersion(documents.Document):
    """A version of a pipeline."""

    name: str
    version: int
    pipeline: dict[str, Any] = pydantic.Field(description="The pipeline as it was sent, as JSON.")
    created_by: str = pydantic.Field(description="The id of the API key that put it.")
    created_at: str
    retired_at: str | None


class VersionSummary(documents.Document):
    """A version of a pipeline, as lists show it."""

    version: int
    steps: int
    created_by: str
    created_at: str


class PipelineVersions(documents.Document):
    """A pipeline's versions, newest first."""

    name: str
    versions: list[VersionSummary]
    next_cursor: str | None


class ValidPipeline(documents.Document):
    """A pipeline that may be put."""

    name: str
    steps: list[str] = pydantic.Field(description="Its steps, in an order in which each follows what it needs.")
    needs: dict[str, list[str]] = pydantic.Field(description="The steps that each needs, named or by reference.")


@blueprint.put("/<name>", responses={200: PipelineVersion, 201: PipelineVersion}, request_body=_BODY)
@auth.needs("write")
def put(path: documents.NamePath) -> flask.Response:
    """Keep a pipeline as the next version of its name, unless the latest is the same; `If-Match` takes its ETag."""
    pipeline = _parse()
    databases, expected = (
        context.current().databases,
        revisions.parse(flask.request.headers.get("If-Match"), of="pipeline"),
    )
    is_new = putting.put(databases, path.name, pipeline, client=context.client(), expected_version=expected)
    return _answer(path.name, status=201 if is_new else 200)


@blueprint.post("/<name>/validate", responses={200: ValidPipeline}, request_body=_BODY)
@auth.needs("write")
def validate(path: documents.NamePath) -> flask.Response:
    """Check a pipeline as PUT does, and keep nothing: 422 has each mistake with its line."""
    plan = plans.of(_parse())
    needs = {name: list(needed) for name, needed in plan.needs.items()}
    return answers.json({"name": path.name, "steps": list(plan.steps), "needs": needs})


def _parse() -> Pipeline:
    return parsing.parse(bodies.read_all(), content_type=flask.request.headers.get("Content-Type", ""))


@blueprint.get("", responses={200: PipelineList})
@auth.needs("read")
def list_pipelines(query: documents.NamesQuery) -> flask.Response:
    """List pipelines in alphabetical order, without those that are retired."""
    return answers.json(versions.page(*context.databases_and_tenant(), limit=query.limit, cursor=query.cursor))


@blueprint.get("/<name>", responses={200: PipelineVersion})
@auth.needs("read")
def show(path: documents.NamePath) -> flask.Response:
    """Show the latest version of a pipeline."""
    return _answer(path.name)


@blueprint.get("/<name>/versions", responses={200: PipelineVersions})
@auth.needs("read")
def list_versions(path: documents.NamePath, query: documents.NamesQuery) -> flask.Response:
    """List a pipeline's versions, newest first, also of one that is retired."""
    databases, tenant_id = context.databases_and_tenant()
    page = versions.page_of_versions(databases, tenant_id, path.name, limit=query.limit, cursor=query.cursor)
    return answers.json(page)


@blueprint.get("/<name>/versions/<version:version>", responses={200: PipelineVersion})
@auth.needs("read")
def show_version(path: documents.VersionPath) -> flask.Response:
    """Show a version of a pipeline, also of one that is retired."""
    return answers.json(versions.show(*context.databases_and_tenant(), path.name, version=path.number))


@blueprint.delete("/<name>", responses={204: None})
@auth.needs("write")
def retire(path: documents.NamePath) -> flask.Response:
    """Retire a pipeline: no further run begins until it is put again; its versions and runs stay."""
    putting.retire(context.current().databases, path.name, client=context.client())
    return flask.Response(status=204)


def _answer(name: str, *, status: int = 200) -> flask.Response:
    document = versions.show(*context.databases_and_tenant(), name)
    response = answers.json(document, status=status)
    response.headers["ETag"] = f'"{document["version"]}"'
    return response
