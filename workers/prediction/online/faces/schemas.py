"""The schemas of what the inference server takes and answers, as its OpenAPI documents refer to them."""

from typing import Any

from workers.prediction.online.faces import content_types, tensors

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer"}
_ANY_OBJECT: Schema = {"type": "object"}
_SHAPE: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2}
_DATATYPE: Schema = {"type": "string", "enum": list(tensors.DATATYPES)}
_CELL: Schema = {"type": ["number", "string", "boolean", "null"]}
_NUMBER: Schema = {"type": ["number", "null"]}
_CLASS: Schema = {"type": ["string", "number", "boolean"]}
_ROW: Schema = {"type": "object", "additionalProperties": _CELL}
_CONTENT_TYPE: Schema = {"type": "string", "enum": list(content_types.NAMES)}


def make_object(
    required: dict[str, Schema], optional: dict[str, Schema] | None = None, *, closed: bool = False
) -> Schema:
    """Make the schema of an object; one that is `closed` has no other members."""
    members = {**required, **(optional or {})}
    schema: Schema = {"type": "object", "properties": members, "required": list(required)}
    return {**schema, "additionalProperties": False} if closed else schema


def refer(name: str) -> Schema:
    """Make a reference to one of `ALL`."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(schema: Schema, *, least: int = 0) -> Schema:
    """Make the schema of a list."""
    return {"type": "array", "items": schema, **({"minItems": least} if least else {})}


_DURATION = make_object({"count": _COUNT, "ns": _COUNT})
_TENSOR_METADATA = make_object({"name": _TEXT, "datatype": _DATATYPE, "shape": list_of(_COUNT)})
_TENSOR_CONFIG = make_object({"name": _TEXT, "data_type": _TEXT, "dims": list_of(_COUNT)})
_STATISTICS = make_object(
    {
        "name": _TEXT,
        "version": _TEXT,
        "inference_count": _COUNT,
        "execution_count": _COUNT,
        "inference_stats": {"type": "object", "additionalProperties": _DURATION},
        "batch_stats": list_of(_ANY_OBJECT),
    }
)
ALL: dict[str, Schema] = {
    "Error": make_object({"error": _TEXT}),
    "Problem": make_object({"type": _TEXT, "title": _TEXT, "status": _COUNT, "detail": _TEXT}),
    "MlflowError": make_object({"error_code": _TEXT, "message": _TEXT}),
    "Live": make_object({"live": _FLAG}),
    "Ready": make_object({"ready": _FLAG}),
    "Status": make_object({"status": _TEXT}),
    "ServerMetadata": make_object({"name": _TEXT, "version": _TEXT, "extensions": list_of(_TEXT)}),
    "ModelMetadata": make_object(
        {
            "name": _TEXT,
            "versions": list_of(_TEXT),
            "platform": _TEXT,
            "inputs": list_of(_TENSOR_METADATA),
            "outputs": list_of(_TENSOR_METADATA),
        }
    ),
    "ModelReady": make_object({"name": _TEXT, "ready": _FLAG}),
    "ModelConfig": make_object(
        {
            "name": _TEXT,
            "platform": _TEXT,
            "backend": _TEXT,
            "max_batch_size": _COUNT,
            "input": list_of(_TENSOR_CONFIG),
            "output": list_of(_TENSOR_CONFIG),
        }
    ),
    "Statistics": make_object({"model_stats": list_of(_STATISTICS)}),
    "RepositoryIndex": list_of(
        make_object({"name": _TEXT, "version": _TEXT, "state": {"enum": ["READY", "UNAVAILABLE"]}, "reason": _TEXT})
    ),
    "TensorData": {"type": "array", "items": {"anyOf": [_CELL, refer("TensorData")]}},
    "RequestInput": make_object(
        {"name": {**_TEXT, "minLength": 1}, "shape": _SHAPE, "datatype": _DATATYPE},
        {
            "data": refer("TensorData"),
            "parameters": make_object(
                {}, {"content_type": _CONTENT_TYPE, "binary_data_size": {**_COUNT, "minimum": 0}}
            ),
        },
    ),
    "RequestOutput": make_object(
        {"name": _TEXT},
        {"parameters": make_object({}, {"binary_data": _FLAG, "top": {**_COUNT, "minimum": 1}, "class": _CLASS})},
    ),
    "InferenceRequest": make_object(
        {"inputs": list_of(refer("RequestInput"), least=1)},
        {
            "id": _TEXT,
            "model_name": _TEXT,
            "model_version": _TEXT,
            "parameters": make_object({}, {"content_type": _CONTENT_TYPE, "binary_data_output": _FLAG}),
            "outputs": list_of(refer("RequestOutput")),
        },
        closed=True,
    ),
    "InferenceResponse": make_object(
        {
            "model_name": _TEXT,
            "model_version": _TEXT,
            "outputs": list_of(
                make_object(
                    {"name": _TEXT, "shape": list_of(_COUNT), "datatype": _DATATYPE},
                    {"data": refer("TensorData"), "parameters": _ANY_OBJECT},
                )
            ),
        },
        {"id": _TEXT, "parameters": _ANY_OBJECT},
    ),
    "Deployment": make_object(
        {
            "name": _TEXT,
            "revision": _COUNT,
            "ready": _FLAG,
            "shares": {"type": "object", "additionalProperties": {"type": "number"}},
            "fallback": {"type": ["string", "null"]},
            "features": {"type": ["string", "null"]},
            "not_loaded": {"type": "object", "additionalProperties": _TEXT},
        },
        {"members": {"type": "object", "additionalProperties": _FLAG}},
    ),
    "Deployments": make_object({"deployments": list_of(refer("Deployment"))}),
    "Instances": make_object(
        {"instances": list_of(_ROW, least=1)},
        {
            "contributions": {
                "description": "Whether, and how many of each row, to tell what the columns add to the prediction.",
                "anyOf": [
                    _FLAG,
                    make_object({}, {"top": {**_COUNT, "minimum": 1}, "class": _CLASS}, closed=True),
                ],
            }
        },
        closed=True,
    ),
    "Contributions": make_object(
        {
            "bias": _NUMBER,
            "output": _NUMBER,
            "scale": {"enum": ["decision", "number", "probability", "raw"]},
            "values": {"type": "object", "additionalProperties": _NUMBER},
        },
        {"class": _CELL, "others": _NUMBER},
    ),
    "Predictions": make_object(
        {"predictions": list_of(_ROW), "versions": list_of(_TEXT), "deployment": _ANY_OBJECT},
        {
            "prediction_ids": list_of(_TEXT),
            "features": make_object({"version": _TEXT, "age_seconds": {**_COUNT, "minimum": 0}}),
            "members": {
                "type": "object",
                "additionalProperties": make_object({"versions": list_of(_TEXT), "prediction_ids": list_of(_TEXT)}),
            },
            "failed_members": {"type": "object", "additionalProperties": _TEXT},
            "contributions": list_of({"anyOf": [refer("Contributions"), {"type": "null"}]}),
            "unexplained": {"type": "object", "additionalProperties": _TEXT},
        },
    ),
    "Invocation": {
        "oneOf": [
            make_object(
                {
                    "dataframe_split": make_object(
                        {"columns": list_of(_TEXT), "data": list_of(list_of(_CELL), least=1)},
                        {"index": list_of(_CELL)},
                        closed=True,
                    )
                },
                closed=True,
            ),
            make_object({"dataframe_records": list_of(_ROW, least=1)}, closed=True),
            make_object(
                {"instances": {"anyOf": [list_of(_ROW, least=1), list_of(list_of(_CELL), least=1)]}}, closed=True
            ),
            make_object({"inputs": {"type": "object", "additionalProperties": list_of(_CELL)}}, closed=True),
        ]
    },
    "Scores": make_object({"predictions": list_of({})}),
}
"""Every schema, by its name."""
