"""The OpenAPI documents of the inference server: one of all its routes, and one of each deployment with an example."""

import functools
from collections.abc import Mapping
from typing import Any

from workers.prediction.online.deployed import Deployed
from workers.prediction.online.faces import schemas, tensors
from workers.prediction.online.versions import Version

Document = dict[str, Any]

_JSON, _TEXT = "application/json", "text/plain"
_ERRORS = {
    "v2": ("Error", _JSON, (400, 401, 404, 413, 415, 429, 500, 503)),
    "v1": ("Problem", "application/problem+json", (400, 401, 404, 413, 415, 422, 429, 500, 503)),
    "mlflow": ("MlflowError", _JSON, (400, 401, 404, 413, 415, 429, 500, 503)),
}
_REASONS = {
    200: "The answer",
    400: "The request can't be answered as it is",
    401: "A valid API key is needed",
    404: "There is no such deployment, version or route here",
    413: "The body is too large",
    415: "The body's type or encoding is not one that this route takes",
    422: "The request or its rows don't fit",
    429: "The deployment is full",
    500: "A version has failed and none could answer instead",
    503: "It is not ready yet",
}
_VERSION = "1.0.0"
_MODEL = "/v2/models/{model}"


@functools.cache
def describe_server() -> Document:
    """Describe all routes."""
    paths = {**_describe_health(), **_describe_open_inference(), **_describe_native(), **_describe_mlflow()}
    return _wrap("Millrace inference server", paths)


def describe_deployment(deployed: Deployed, version: Version) -> Document:
    """Describe the routes of one deployment, with a row that one of its versions takes as the example."""
    row = deployed.make_example(version)
    inputs = [
        {**tensors.describe_input(column), "shape": [1], "data": [row[column["name"]]]}
        for column in deployed.list_inputs(version)
    ]
    examples = {
        "/v2/models/{model}/infer": {"inputs": inputs},
        "/v1/deployments/{name}/predictions": {"instances": [row]},
        "/mlflow/{deployment}/invocations": {"dataframe_records": [row]},
    }
    described = describe_server()["paths"]
    paths: Document = {}
    for path in ("/v2/models/{model}", "/v2/models/{model}/ready", *examples):
        concrete = path.replace(path[path.index("{") : path.index("}") + 1], deployed.name)
        paths[concrete] = {
            method: _make_concrete(operation, example=examples.get(path))
            for method, operation in described[path].items()
        }
    return _wrap(f"The deployment {deployed.name}", paths)


def _make_concrete(operation: Mapping[str, Any], *, example: Any) -> Document:
    """Take the parameters of an operation's path away, and put the example into its body."""
    concrete = {name: value for name, value in operation.items() if name != "parameters"}
    if example is not None:
        content = operation["requestBody"]["content"][_JSON]
        concrete["requestBody"] = {"required": True, "content": {_JSON: {**content, "example": example}}}
    return concrete


def _wrap(title: str, paths: Document) -> Document:
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": _VERSION},
        "security": [{"key": []}, {"password": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key that may predict."},
                "password": {"type": "http", "scheme": "basic", "description": "The same key as the password."},
            },
            "schemas": schemas.ALL,
        },
    }


def _describe_health() -> Document:
    ready = _operation("is_ready", "Whether this copy has loaded what is deployed.", "Ready", also={503: "Ready"})
    v2_ready = {**ready, "operationId": "is_server_ready"}
    page = {"content": {_TEXT: {"schema": {"type": "string"}}}, "description": _REASONS[200]}
    metrics = _operation("show_metrics", "The metrics of this copy, for Prometheus.", None, face="v1")
    metrics["responses"]["200"] = page
    return {
        "/healthz": {"get": _operation("is_healthy", "Whether this process answers.", "Status")},
        "/readyz": {"get": ready},
        "/v2": {"get": _operation("describe_server", "What this server is and can do.", "ServerMetadata")},
        "/v2/health/live": {"get": _operation("is_server_live", "Whether this process answers.", "Live")},
        "/v2/health/ready": {"get": v2_ready},
        "/metrics": {"get": metrics},
        "/openapi.json": {"get": _operation("describe_routes", "This document.", None)},
    }


def _describe_open_inference() -> Document:
    paths: Document = {}
    for suffix, of, parameters in (("", "model", ["model"]), ("/versions/{version}", "version", ["model", "version"])):
        for route, name, summary, schema in (
            ("", f"describe_{of}", "The inputs and outputs.", "ModelMetadata"),
            ("/ready", f"is_{of}_ready", "Whether it answers.", "ModelReady"),
            ("/config", f"show_{of}_config", "The configuration, as Triton has it.", "ModelConfig"),
            ("/stats", f"show_{of}_statistics", "What it has done since this copy started.", "Statistics"),
            ("/docs/dataplane.json", f"show_{of}_document", "Its OpenAPI document, with an example.", None),
        ):
            operation = _operation(name, summary, schema, face="v2", parameters=parameters)
            paths[f"{_MODEL}{suffix}{route}"] = {"get": operation}
        infer = _operation(
            f"infer_by_{of}",
            "Predict.",
            "InferenceResponse",
            face="v2",
            parameters=parameters,
            body={_JSON: "InferenceRequest"},
        )
        paths[f"{_MODEL}{suffix}/infer"] = {"post": infer}
    every = _operation("show_statistics", "What all deployments have done.", "Statistics", face="v2")
    index = _operation("list_models", "What is deployed.", "RepositoryIndex", face="v2")
    load = _operation("load_model", "Load a model that is not deployed.", None, face="v2", parameters=["model"])
    unload = _operation("unload_model", "Let go of one; what is deployed stays.", None, face="v2", parameters=["model"])
    return {
        **paths,
        "/v2/models/stats": {"get": every},
        "/v2/repository/index": {"post": index},
        "/v2/repository/models/{model}/load": {"post": load},
        "/v2/repository/models/{model}/unload": {"post": unload},
    }


def _describe_native() -> Document:
    predict = _operation(
        "predict", "Predict rows.", "Predictions", face="v1", parameters=["name"], body={_JSON: "Instances"}
    )
    show = _operation("show_deployment", "What this copy serves of it.", "Deployment", face="v1", parameters=["name"])
    return {
        "/v1/deployments": {"get": _operation("list_deployments", "What is deployed.", "Deployments", face="v1")},
        "/v1/deployments/{name}": {"get": show},
        "/v1/deployments/{name}/predictions": {"post": predict},
    }


def _describe_mlflow() -> Document:
    paths: Document = {}
    for prefix, of, parameters in (("/mlflow/{deployment}", "_deployment", ["deployment"]), ("", "", [])):
        score = _operation(
            f"score{of}", "Predict.", "Scores", face="mlflow", parameters=parameters, body={_JSON: "Invocation"}
        )
        score["requestBody"]["content"]["text/csv"] = {"schema": {"type": "string"}}
        paths[f"{prefix}/invocations"] = {"post": score}
        for route in ("ping", "health", "version"):
            operation = _operation(
                f"{route}{of}", "As MLflow's server has it.", None, face="mlflow", parameters=parameters
            )
            operation["responses"]["200"]["content"] = {_TEXT: {"schema": {"type": "string"}}}
            paths[f"{prefix}/{route}"] = {"get": operation}
    return paths


def _operation(
    name: str,
    summary: str,
    schema: str | None,
    *,
    face: str | None = None,
    parameters: list[str] | None = None,
    body: Mapping[str, str] | None = None,
    also: Mapping[int, str] | None = None,
) -> Document:
    """Describe an operation, which needs a key if it belongs to a face."""
    answers = {200: (_JSON, {"type": "object"} if schema is None else schemas.refer(schema))}
    answers |= {status: (_JSON, schemas.refer(other)) for status, other in (also or {}).items()}
    if face is not None:
        error, media_type, statuses = _ERRORS[face]
        answers |= {status: (media_type, schemas.refer(error)) for status in statuses}
    operation: Document = {
        "operationId": name,
        "summary": summary,
        "parameters": [
            {"name": each, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for each in parameters or []
        ],
        "responses": {
            f"{status}": {"description": _REASONS[status], "content": {media_type: {"schema": answer}}}
            for status, (media_type, answer) in answers.items()
        },
    }
    if body is not None:
        content = {media_type: {"schema": schemas.refer(each)} for media_type, each in body.items()}
        operation["requestBody"] = {"required": True, "content": content}
    return operation if face is not None else {**operation, "security": []}
