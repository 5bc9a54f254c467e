"""Our own protocol: rows as objects, `{"instances": [{…}]}`."""

import re
from typing import Any

import orjson

from shared import errors
from workers.prediction.online import contributions, plane, rows, serving
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.graphs.compiling import DeployedGraph
from workers.prediction.online.merging import Prediction
from workers.prediction.online.messages import Request, Response
from workers.prediction.online.versions import Version

PREFIX = ("v1", "deployments")
UNIT_HEADER = "millrace-unit"
ID_HEADER = "Millrace-Prediction-Id"
FEATURES_HEADER = "Millrace-Features"
FEATURES_AGE_HEADER = "Millrace-Features-Age"
"""In seconds, of the oldest row that was looked up."""
FAILED_HEADER = "Millrace-Failed-Members"
"""The deployments that were left out of an ensemble."""
_FIELDS = {"contributions", "instances"}
STATUS: dict[type[errors.MillraceError], int] = {
    errors.MalformedRequestError: 400,
    errors.UnauthenticatedError: 401,
    errors.NotFoundError: 404,
    errors.TooLargeError: 413,
    errors.UnsupportedMediaTypeError: 415,
    errors.InvalidRequestError: 422,
    errors.BadDataError: 422,
    errors.TooManyRequestsError: 429,
    errors.BadModelError: 500,
    errors.UnavailableError: 503,
}


class Native:
    """Answers `POST /v1/deployments/{name}/predictions`."""

    def __init__(self, served: serving.Serving, data_plane: plane.Plane) -> None:
        """Answer for what is served."""
        self._served = served
        self._plane = data_plane

    async def answer(self, request: Request) -> Response:
        """Answer a request whose path begins with `PREFIX`; raises errors of `STATUS`."""
        if request.path[:2] != PREFIX:
            raise errors.NotFoundError("There is no such route here.")
        match (request.method, *request.path[2:]):
            case ("POST", name, "predictions"):
                return await self._predict(await self._served.reach(request.tenant_id, name), request)
            case ("GET", name):
                return Response.of(self._describe(self._find(request.tenant_id, name)))
            case ("GET",):
                deployments = self._served.list_deployments(request.tenant_id)
                return Response.of({"deployments": [self._describe(deployed) for deployed in deployments]})
            case _:
                raise errors.NotFoundError("There is no such route here.")

    def refuse(self, error: errors.MillraceError) -> Response:
        """Answer an error as a problem document (RFC 9457)."""
        status = status_of(error)
        slug = re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__.removesuffix("Error")).lower()
        document = {
            "type": f"urn:millrace:problem:{slug}",
            "title": slug.replace("-", " ").capitalize(),
            "status": status,
            "detail": error.message,
        }
        return Response.refusing(error, document, status=status, content_type="application/problem+json")

    def _find(self, tenant_id: str, name: str) -> Deployed:
        deployed = self._served.find(tenant_id, name)
        if deployed is None:
            raise errors.NotFoundError(f"There is no deployment {name!r} here.")
        return deployed

    def _describe(self, deployed: Deployed) -> dict[str, Any]:
        """Describe what this copy serves of a deployment, and why it doesn't serve the rest."""
        return {
            "name": deployed.name,
            "revision": deployed.revision,
            "ready": deployed.is_ready,
            "shares": deployed.shares,
            "fallback": deployed.fallback.pin.label if deployed.fallback else None,
            "features": deployed.lookup and deployed.lookup.features,
            "not_loaded": self._served.explain(deployed),
            **({"members": _list_ready(deployed)} if isinstance(deployed, DeployedGraph) else {}),
        }

    async def _predict(self, deployed: Deployed, request: Request) -> Response:
        return await self._plane.within(
            deployed, lambda: self._answer_rows(deployed, request), body_bytes=len(request.body)
        )

    def _answer_rows(self, deployed: Deployed, request: Request) -> Response:
        document = read_object(request.body, fields=_FIELDS)
        instances, wanted = document.get("instances"), contributions.read(document.get("contributions"))
        if not isinstance(instances, list) or not instances:
            raise errors.InvalidRequestError('Send the rows as {"instances": [{"column": value, …}, …]}, at least one.')
        if wanted is not None:
            self._plane.require_thread()
            contributions.require(deployed, wanted, rows_count=len(instances))
        given = rows.from_records(instances)
        predicted = self._plane.predict(
            deployed, given, rows_count=len(instances), unit=request.headers.get(UNIT_HEADER)
        )
        explained = contributions.explain(deployed, given, predicted, wanted=wanted) if wanted is not None else None
        names = [column.name for column in predicted.columns]
        return Response.of(
            {
                "predictions": [dict(zip(names, row, strict=True)) for row in zip(*predicted.values, strict=True)],
                "versions": predicted.versions,
                "deployment": {"name": deployed.name, "revision": deployed.revision},
                "prediction_ids": predicted.ids,
                **_describe_features(predicted),
                **_describe_members(predicted),
                **({} if explained is None else contributions.describe(explained)),
            },
            headers=list_headers(predicted),
        )


def _list_ready(deployed: DeployedGraph) -> dict[str, bool]:
    """List the deployments that a graph names, and whether each can answer."""
    named = {name: deployed.members.get(name) for name in deployed.graph.names}
    return {name: member is not None and member.is_ready for name, member in named.items()}


def list_headers(predicted: Prediction) -> tuple[tuple[str, str], ...]:
    """List the headers that say of a prediction what a body may not: its id, its features, and members that failed.

    The id is left out where the rows need several, which are long together.
    """
    headers = [(ID_HEADER, predicted.ids[0])] if len(predicted.ids) == 1 else []
    if predicted.features is not None:
        headers.append((FEATURES_HEADER, predicted.features.features))
        headers.append((FEATURES_AGE_HEADER, f"{predicted.features.age_seconds}"))
    if predicted.failed_members:
        headers.append((FAILED_HEADER, ",".join(predicted.failed_members)))
    return tuple(headers)


def _describe_features(predicted: Prediction) -> dict[str, Any]:
    features = predicted.features
    if features is None:
        return {}
    return {"features": {"version": features.features, "age_seconds": features.age_seconds}}


def _describe_members(predicted: Prediction) -> dict[str, Any]:
    """Describe what the deployments of a graph did: who answered, by which ids, and who has failed."""
    if predicted.members is None:
        return {}
    members = {
        name: {"versions": list(dict.fromkeys(member.versions)), "prediction_ids": member.ids}
        for name, member in predicted.members.items()
    }
    failed = predicted.failed_members
    return {"members": members, **({} if failed is None else {"failed_members": failed})}


def status_of(error: errors.MillraceError) -> int:
    """Return the status with which an error is answered."""
    return next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)


def list_columns_of(deployed: Deployed, version: Version) -> list[str]:
    """List the columns that a request has to have for a version, in order."""
    return [column["name"] for column in deployed.list_inputs(version)]


def list_columns(deployed: Deployed) -> list[str] | None:
    """List the columns that all versions of a deployment take; None when they take others, or in another order."""
    if not deployed.versions:
        raise plane.NotReadyError(retry_after_seconds=1)
    lists = [list_columns_of(deployed, version) for version in deployed.versions]
    return lists[0] if all(names == lists[0] for names in lists) else None


def read_object(body: bytes, *, fields: set[str]) -> dict[str, Any]:
    """Read a body as a JSON object with some fields and no others; MalformedRequestError, InvalidRequestError."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.MalformedRequestError(f"The body is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise errors.InvalidRequestError("The body must be a JSON object.")
    unknown = sorted(document.keys() - fields)
    if unknown:
        raise errors.InvalidRequestError(
            f"{unknown[0][:100]!r} is not a field here; these are: {', '.join(sorted(fields))}."
        )
    return document
