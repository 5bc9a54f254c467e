"""MLflow's scoring protocol: `dataframe_split`, `dataframe_records`, `instances`, `inputs`, or CSV."""

import csv
import io
from typing import Any

from shared import errors
from workers.prediction.online import plane, rows, serving
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.faces import native
from workers.prediction.online.messages import Request, Response

PREFIX = ("mlflow",)
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_CODES = {401: "UNAUTHENTICATED", 404: "RESOURCE_DOES_NOT_EXIST", 429: "REQUEST_LIMIT_EXCEEDED"}
_MAX_FIELD = 1 << 24

Given = tuple[rows.Columns, int]


class Mlflow:
    """Answers below `/mlflow/{deployment}`, and bare where a tenant has one deployment."""

    def __init__(self, served: serving.Serving, data_plane: plane.Plane) -> None:
        """Answer for what is served."""
        self._served = served
        self._plane = data_plane

    async def answer(self, request: Request) -> Response:
        """Answer `invocations`, `ping`, `health` and `version`; raises errors of `native.STATUS`."""
        is_named = request.path[0] == PREFIX[0]
        names, route = (request.path[1:-1], request.path[-1]) if is_named else (request.path[1:], request.path[0])
        if len(names) != int(is_named):
            raise errors.NotFoundError("There is no such route here.")
        name = names[0] if names else None
        deployed = await self._served.reach(request.tenant_id, name) if name else self._find_only(request.tenant_id)
        match (request.method, route):
            case ("POST", "invocations"):
                return await self._score(deployed, request)
            case ("GET", "ping" | "health"):
                if not deployed.is_ready:
                    raise plane.NotReadyError(retry_after_seconds=1)
                return Response(200, b"\n", content_type="text/plain")
            case ("GET", "version"):
                return Response(200, b"3.0.0", content_type="text/plain")
            case _:
                raise errors.NotFoundError("There is no such route here.")

    def refuse(self, error: errors.MillraceError) -> Response:
        """Answer an error as MLflow's server does."""
        status = native.status_of(error)
        status = 400 if status == 422 else status
        default = "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
        document = {"error_code": _CODES.get(status, default), "message": error.message}
        return Response.refusing(error, document, status=status)

    def _find_only(self, tenant_id: str) -> Deployed:
        deployments = self._served.list_deployments(tenant_id)
        if len(deployments) != 1:
            names = ", ".join(deployed.name for deployed in deployments) or "none yet"
            raise errors.MalformedRequestError(f"Say which deployment: /mlflow/{{name}}/…; these are: {names}.")
        return deployments[0]

    async def _score(self, deployed: Deployed, request: Request) -> Response:
        return await self._plane.within(
            deployed, lambda: self._answer_rows(deployed, request), body_bytes=len(request.body)
        )

    def _answer_rows(self, deployed: Deployed, request: Request) -> Response:
        media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type == "text/csv":
            given, count = _read_csv(request.body)
        elif media_type == "application/json":
            given, count = _read_json(request.body, names=native.list_columns(deployed))
        else:
            raise errors.UnsupportedMediaTypeError("Send application/json or text/csv.")
        predicted = self._plane.predict(deployed, given, rows_count=count, unit=request.headers.get(native.UNIT_HEADER))
        return Response.of({"predictions": predicted.values[0]}, headers=native.list_headers(predicted))


def _read_json(body: bytes, *, names: list[str] | None) -> Given:
    document = native.read_object(body, fields={*_FORMS, "params"})
    forms = [form for form in _FORMS if form in document]
    if len(forms) != 1:
        raise errors.InvalidRequestError(f"Send exactly one of {', '.join(_FORMS)}.")
    if document.get("params"):
        raise errors.InvalidRequestError("No deployment here takes `params`.")
    value = document[forms[0]]
    if forms[0] == "dataframe_split":
        return _read_split(value)
    if isinstance(value, dict) and forms[0] in ("instances", "inputs"):
        return _read_columns(value)
    if not isinstance(value, list) or not value:
        raise errors.InvalidRequestError(f"`{forms[0]}` must be a list with at least one row.")
    if all(isinstance(row, list) for row in value):
        if names is None:
            raise errors.BadDataError(
                "the versions that answer take other columns, so rows without names can't be told; send objects"
            )
        return _from_lists(value, names=names), len(value)
    return rows.from_records(value), len(value)


def _read_split(value: Any) -> Given:
    if not isinstance(value, dict) or not {"columns", "data"} <= value.keys() <= {"columns", "data", "index"}:
        raise errors.InvalidRequestError("`dataframe_split` is an object with `columns`, `data` and perhaps `index`.")
    columns, data = value["columns"], value["data"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise errors.InvalidRequestError("`columns` is a list of names.")
    if not isinstance(data, list) or not data or not all(isinstance(row, list) for row in data):
        raise errors.InvalidRequestError("`data` is a list of rows, each a list of values.")
    if len(set(columns)) < len(columns):
        raise errors.InvalidRequestError("`columns` names a column twice.")
    return _from_lists(data, names=columns), len(data)


def _read_columns(value: dict[str, Any]) -> Given:
    columns = {name: values if isinstance(values, list) else [values] for name, values in value.items()}
    counts = {len(values) for values in columns.values()}
    if len(counts) != 1 or counts == {0}:
        raise errors.InvalidRequestError("The columns must have equally many values, at least one.")
    return columns, counts.pop()


def _from_lists(data: list[list[Any]], *, names: list[str]) -> dict[str, list[Any]]:
    for number, row in enumerate(data, start=1):
        if len(row) != len(names):
            raise errors.BadDataError(f"row {number} has {len(row)} values; there are {len(names)} columns")
    return {name: [row[index] for row in data] for index, name in enumerate(names)}


def _read_csv(body: bytes) -> Given:
    try:
        text = body.decode("utf-8-sig")
        csv.field_size_limit(_MAX_FIELD)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        data = [[value or None for value in row] for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise errors.BadDataError(f"the body can't be read as CSV: {error}") from error
    if not header or not data:
        raise errors.BadDataError("the CSV needs a line of names and at least one row")
    if len(set(header)) < len(header):
        raise errors.BadDataError("the CSV names a column twice")
    return _from_lists(data, names=header), len(data)
