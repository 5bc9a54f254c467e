"""The Open Inference Protocol, version 2: https://github.com/kserve/open-inference-protocol.

With the binary tensor extension, which tritonclient and KServe's client send by default.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from shared import errors
from workers.prediction.online import contributions, plane, serving
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.faces import content_types, documents, native, outputs, tensors, views
from workers.prediction.online.merging import Prediction
from workers.prediction.online.messages import Request, Response
from workers.prediction.online.versions import Version

PREFIX = ("v2",)
EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
_HEADER_LENGTH = "inference-header-content-length"
_FIELDS = {"id", "parameters", "inputs", "outputs", "model_name", "model_version"}
"""KServe's client also sends the model's name, which the path has already."""


class OpenInference:
    """Answers below `/v2`; a model's name is a deployment's."""

    def __init__(self, served: serving.Serving, data_plane: plane.Plane) -> None:
        """Answer for what is served."""
        self._served = served
        self._plane = data_plane

    async def answer(self, request: Request) -> Response:
        """Answer a request whose path begins with `PREFIX`; raises errors of `native.STATUS`."""
        match (request.method, *request.path[1:]):
            case ("GET" | "POST", "models", name, *rest) if (name, *rest) != ("stats",):
                return await self._answer_model(request, name, tuple(rest))
            case ("GET", "models", "stats"):
                return self._answer_statistics(request)
            case ("POST", "repository", "index"):
                return Response.of(self._list_index(request))
            case ("POST", "repository", "models", name, "load"):
                _require_first(await self._served.reach(request.tenant_id, name))
                return Response.of({})
            case ("POST", "repository", "models", name, "unload"):
                return self._unload(request.tenant_id, name)
            case _:
                raise errors.NotFoundError("There is no such route here.")

    async def _answer_model(self, request: Request, name: str, rest: tuple[str, ...]) -> Response:
        """Answer what is asked of one deployment, or of one of its versions."""
        deployed, number = await self._served.reach(request.tenant_id, name), None
        if len(rest) > 1 and rest[0] == "versions":
            number, rest = rest[1], rest[2:]
        version = None if number is None else _find_version(deployed, number)
        match (request.method, *rest):
            case ("POST", "infer"):
                return await self._infer(deployed, version, request)
            case ("GET",):
                return Response.of(_describe(deployed, version or _require_first(deployed)))
            case ("GET", "ready"):
                _require_first(deployed)
                return Response.of({"name": deployed.name, "ready": True})
            case ("GET", "config"):
                return Response.of(views.describe_config(deployed, version or _require_first(deployed)))
            case ("GET", "stats"):
                versions = deployed.versions if version is None else (version,)
                return Response.of(views.describe_statistics([(deployed, versions)]))
            case ("GET", "docs", "dataplane.json"):
                return Response.of(documents.describe_deployment(deployed, version or _require_first(deployed)))
            case _:
                raise errors.NotFoundError("There is no such route here.")

    def _answer_statistics(self, request: Request) -> Response:
        """Answer the statistics of all deployments, or describe the one that is called so."""
        if (deployed := self._served.find(request.tenant_id, "stats")) is not None:
            return Response.of(_describe(deployed, _require_first(deployed)))
        deployments = self._served.list_deployments(request.tenant_id)
        return Response.of(views.describe_statistics((each, each.versions) for each in deployments))

    def _unload(self, tenant_id: str, name: str) -> Response:
        """Let go of a model that is not deployed."""
        if self._served.find(tenant_id, name) is not None:
            raise errors.InvalidRequestError(
                f"{name!r} is deployed, and deployments decide what is loaded; change or delete it at "
                f"/v1/deployments/{name} of the API."
            )
        if name not in self._served.on_demand.list_names(tenant_id):
            raise errors.NotFoundError(f"There is no deployment and no model {name[:100]!r} here.")
        self._served.on_demand.drop(tenant_id, name)
        return Response.of({})

    def refuse(self, error: errors.MillraceError) -> Response:
        """Answer an error as the protocol wants it."""
        status = native.status_of(error)
        return Response.refusing(error, {"error": error.message}, status=400 if status == 422 else status)

    def _list_index(self, request: Request) -> list[dict[str, Any]]:
        """List what is deployed, and the models that are loaded when they are asked for; with `ready` only such."""
        tenant_id = request.tenant_id
        listed = [self._index(deployed) for deployed in self._served.list_deployments(tenant_id)]
        deployed_names = {each["name"] for each in listed}
        for name, version in self._served.on_demand.list_names(tenant_id).items():
            if name not in deployed_names:
                is_loaded = self._served.on_demand.is_loaded(tenant_id, name)
                state, reason = ("READY", "") if is_loaded else ("UNAVAILABLE", "it is loaded when it is asked for")
                listed.append({"name": name, "version": f"{version}", "state": state, "reason": reason})
        document = native.read_object(request.body, fields={"ready"}) if request.body.strip() else {}
        return [each for each in listed if each["state"] == "READY"] if document.get("ready") is True else listed

    def _index(self, deployed: Deployed) -> dict[str, Any]:
        version = f"{deployed.versions[0].pin.version}" if deployed.versions else ""
        reasons = [f"{label}: {reason}" for label, reason in self._served.explain(deployed).items()]
        state = "READY" if deployed.is_ready else "UNAVAILABLE"
        return {"name": deployed.name, "version": version, "state": state, "reason": "; ".join(reasons)}

    async def _infer(self, deployed: Deployed, version: Version | None, request: Request) -> Response:
        return await self._plane.within(
            deployed, lambda: self._answer_rows(deployed, version, request), body_bytes=len(request.body)
        )

    def _answer_rows(self, deployed: Deployed, version: Version | None, request: Request) -> Response:
        document, binary = _split(request)
        names = native.list_columns(deployed) if version is None else native.list_columns_of(deployed, version)
        given, rows_count = _read_inputs(document, binary, names=names)
        wanted = outputs.read_contributions(document.get("outputs"))
        if wanted is not None:
            self._plane.require_thread()
            contributions.require(deployed, wanted, rows_count=rows_count, version=version)
        predicted = self._plane.predict(
            deployed,
            given,
            rows_count=rows_count,
            unit=request.headers.get(native.UNIT_HEADER),
            version=version,
        )
        explained = contributions.explain(deployed, given, predicted, wanted=wanted) if wanted is not None else None
        return _write(document, predicted, explained, deployed)


def _describe(deployed: Deployed, version: Version) -> dict[str, Any]:
    return {
        "name": deployed.name,
        "versions": [f"{each.pin.version}" for each in deployed.versions],
        "platform": version.platform,
        "inputs": [tensors.describe_input(column) for column in deployed.list_inputs(version)],
        "outputs": outputs.describe(version),
    }


def _require_first(deployed: Deployed) -> Version:
    if not deployed.versions:
        raise plane.NotReadyError(retry_after_seconds=1)
    return deployed.versions[0]


def _find_version(deployed: Deployed, number: str) -> Version:
    _require_first(deployed)
    found = [version for version in deployed.versions if f"{version.pin.version}" == number]
    if not found:
        raise errors.NotFoundError(f"The deployment {deployed.name!r} has no version {number[:20]!r}.")
    if len(found) > 1:
        raise errors.MalformedRequestError(f"Several models of the deployment {deployed.name!r} have this version.")
    return found[0]


def _split(request: Request) -> tuple[dict[str, Any], memoryview]:
    """Split a body into its JSON and the bytes of its tensors."""
    length = request.headers.get(_HEADER_LENGTH)
    if length is None:
        return native.read_object(request.body, fields=_FIELDS), memoryview(b"")
    if not length.isdecimal() or len(length) > 12 or int(length) > len(request.body):
        raise errors.MalformedRequestError(
            f"Inference-Header-Content-Length is {length[:40]!r}; the body has {len(request.body)} bytes."
        )
    document = native.read_object(request.body[: int(length)], fields=_FIELDS)
    return document, memoryview(request.body)[int(length) :]


def _read_inputs(
    document: dict[str, Any], binary: memoryview, *, names: Sequence[str] | None
) -> tuple[dict[str, list[Any]], int]:
    inputs = document.get("inputs")
    content_type = content_types.read(document.get("parameters"), of="the request")
    if not isinstance(inputs, list) or not inputs:
        raise errors.BadDataError("the request has no list `inputs` with at least one input")
    columns: dict[str, list[Any]] = {}
    rows_count: int | None = None
    position = 0
    for item in inputs:
        size = _binary_size(item)
        if size is not None and position + size > len(binary):
            raise errors.BadDataError(f"the inputs want more than the {len(binary)} bytes that follow the JSON")
        part = None if size is None else binary[position : position + size]
        tensor = tensors.read(item, binary=part, content_type=content_type)
        position += size or 0
        if rows_count is not None and tensor.shape[0] != rows_count:
            raise errors.BadDataError(f"the input {tensor.name!r} has {tensor.shape[0]} rows, others {rows_count}")
        rows_count = tensor.shape[0]
        for name, values in tensor.to_columns(names, by_position=content_type == "np").items():
            if name in columns:
                raise errors.BadDataError(f"the column {name!r} is sent twice")
            columns[name] = values
    if position != len(binary):
        raise errors.BadDataError(f"{len(binary) - position} bytes follow the last input")
    if not rows_count:
        raise errors.BadDataError("the inputs have no rows")
    return columns, rows_count


def _binary_size(document: Any) -> int | None:
    parameters = document.get("parameters") if isinstance(document, dict) else None
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (type(size) is not int or size < 0):
        raise errors.BadDataError(f"`binary_data_size` is {size!r}; send how many bytes the input has")
    return size


def _write(
    document: dict[str, Any],
    predicted: Prediction,
    explained: contributions.Explained | None,
    deployed: Deployed,
) -> Response:
    parameters = document.get("parameters")
    all_binary = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    written, blobs = [], []
    for output in outputs.make(document.get("outputs"), predicted, explained, is_binary=all_binary):
        tensor: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": output.shape}
        own = output.parameters
        if output.is_binary:
            blobs.append(tensors.write_binary(output.datatype, output.values))
            own = {**own, "binary_data_size": len(blobs[-1])}
        else:
            tensor["data"] = output.values
        written.append({**tensor, "parameters": own} if own else tensor)
    versions = list(dict.fromkeys(predicted.versions))
    answer = {
        "model_name": deployed.name,
        "model_version": ",".join(label.rpartition("@")[2] for label in versions),
        **({"id": document["id"]} if isinstance(document.get("id"), str) else {}),
        "parameters": {
            "revision": deployed.revision,
            "versions": ",".join(versions),
            **({"prediction_id": ",".join(predicted.ids)} if predicted.ids else {}),
            **_describe_features(predicted),
            **({"failed_members": ",".join(predicted.failed_members)} if predicted.failed_members else {}),
        },
        "outputs": written,
    }
    headers = native.list_headers(predicted)
    if not blobs:
        return Response.of(answer, headers=headers)
    head = orjson.dumps(answer)
    headers = (("Inference-Header-Content-Length", str(len(head))), *headers)
    return Response(200, b"".join([head, *blobs]), content_type="application/octet-stream", headers=headers)


def _describe_features(predicted: Prediction) -> dict[str, Any]:
    """Describe what was looked up, in parameters, which the protocol has as texts, numbers and booleans."""
    features = predicted.features
    return {} if features is None else {"features": features.features, "features_age_seconds": features.age_seconds}


def describe_server() -> dict[str, Any]:
    """Describe this server."""
    return {"name": "millrace", "version": "1.0.0", "extensions": EXTENSIONS}
