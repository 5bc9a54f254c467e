"""Imports: a model that was made elsewhere becomes a version of a model."""

from typing import Any

import flask
import flask_openapi
import pydantic

from api import answers, auth, context, documents, queries, uploads
from api.intake import orders
from api.intake.orders import Accepted
from api.intake.uploads import submit_with_upload
from shared import errors
from shared.training import imports

blueprint = flask_openapi.APIBlueprint(
    "model_imports", __name__, url_prefix="/v1/models", abp_tags=[{"name": "models"}]
)
_IMPORT = imports.IMPORT.name
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_MEDIA_TYPES = (
    "application/octet-stream",
    "text/plain",
    "application/json",
    "application/zip",
    "application/x-tar",
    "application/gzip",
)
_AS_JSON = ("columns", "classes", "outputs", "metrics", "parameters")
"""Fields that a query has as JSON."""


class ImportQuery(queries.SubmitQuery):
    """What the model is, as far as its file doesn't say."""

    format: imports.Format | None = pydantic.Field(default=None, description=imports.FORMAT)
    problem: imports.Problem | None = pydantic.Field(default=None, description=imports.PROBLEM)
    target: str | None = pydantic.Field(default=None, max_length=1000, description=imports.TARGET)
    columns: str | None = pydantic.Field(
        default=None,
        max_length=200_000,
        description=f'{imports.COLUMNS} Names separated by commas, or JSON: `[{{"name": "age", "type": "integer"}}]`.',
    )
    classes: str | None = pydantic.Field(
        default=None, max_length=100_000, description=f'{imports.CLASSES} As JSON: `["no", "yes"]`.'
    )
    positive: str | None = pydantic.Field(default=None, max_length=10_000, description=imports.POSITIVE)
    outputs: str | None = pydantic.Field(
        default=None,
        max_length=10_000,
        description="Which of an ONNX model's outputs are which, where their names and types don't tell, as JSON: "
        '`{"label": "class", "probabilities": "scores"}`, of a regression `{"prediction": "y"}`.',
    )
    scores: str | None = pydantic.Field(default=None, max_length=20, description=imports.SCORES)
    like: str | None = pydantic.Field(default=None, max_length=127, description=imports.LIKE)
    metrics: str | None = pydantic.Field(
        default=None, max_length=100_000, description=f'{imports.METRICS} As JSON: `{{"roc_auc": 0.91}}`.'
    )
    parameters: str | None = pydantic.Field(
        default=None, max_length=200_000, description=f'{imports.PARAMETERS} As JSON: `{{"max_depth": 6}}`.'
    )
    note: str | None = pydantic.Field(default=None, max_length=10_000, description=imports.NOTE)
    run: str | None = pydantic.Field(default=None, max_length=1000, description=imports.RUN)

    def to_params(self) -> dict[str, Any]:
        """Return the command's fields that the query gives; raises InvalidRequestError for JSON that is none."""
        own = self.model_dump(exclude_none=True, exclude=set(queries.SubmitQuery.model_fields))
        for name in _AS_JSON:
            if name in own:
                is_list_of_names = name == "columns" and not own[name].lstrip().startswith("[")
                own[name] = own[name].split(",") if is_list_of_names else queries.parse_json(own[name], name=name)
        return own


@blueprint.post(
    "/<name>/import",
    responses={200: documents.Job, 202: documents.Job},
    request_body={"required": True, "content": dict.fromkeys(_MEDIA_TYPES, _BINARY)},
)
@auth.needs("write")
def import_model(path: documents.NamePath, query: ImportQuery) -> flask.Response:
    """Import the model in the body (ONNX, LightGBM's text, XGBoost's JSON, an MLflow folder) as the next version."""
    if flask.request.mimetype not in _MEDIA_TYPES:
        raise errors.UnsupportedMediaTypeError(
            f"Content-Type is {flask.request.mimetype or 'missing'!r}; send the file's bytes as "
            f"'application/octet-stream', or as one of: {', '.join(_MEDIA_TYPES[1:])}."
        )
    if flask.request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise errors.UnsupportedMediaTypeError("Send the file as it is, without Content-Encoding.")
    params = query.to_params()
    upload, pin = uploads.receive(_IMPORT, content="model")
    current, tenant_id = context.current(), context.client().tenant_id

    def submit() -> list[Accepted]:
        full = {**params, "name": path.name, "source": {"type": "upload", "upload": upload}}
        order = orders.make(_IMPORT, full, pointer="#", pinned={"source.upload": pin}, **query.to_options())
        return [answers.accept(orders.identify_by_bytes(order, sha256=pin["sha256"], options=query.to_options()))]

    [accepted] = submit_with_upload(current.objects, pin, submit, quota=current.quota, tenant_id=tenant_id)
    return answers.accepted_or_done(accepted)
