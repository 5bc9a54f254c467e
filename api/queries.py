"""Query parameters: those that many routes take, and the refusal of those that a route doesn't take."""

import functools
import typing
from typing import Annotated, Any

import flask
import pydantic

from api import bodies
from shared import errors
from shared.catalog import marks

Tag = marks.Tag
PRIORITY = "0 to 9; workers take jobs of higher priority first."
DEADLINE_SECONDS = "Seconds from acceptance, time in the queue included, after which the job fails."
TAGS = "Words by which jobs can be listed."
MAX_DEADLINE_SECONDS = 30 * 24 * 3600
MAX_TAGS = marks.MAX_TAGS
_TAGS = pydantic.TypeAdapter(Annotated[list[Tag], pydantic.Field(max_length=MAX_TAGS)])
_MAX_SHOWN = 100


class Query(pydantic.BaseModel):
    """Query parameters."""

    model_config = pydantic.ConfigDict(extra="forbid")

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Build the JSON Schema; flask-openapi looks into the plain one at each request, so that one is kept."""
        return super().model_json_schema(*args, **options) if args or options else _schema_of(cls)


@functools.cache
def _schema_of(model: type[Query]) -> dict[str, Any]:
    return super(Query, model).model_json_schema()


def _split_tags(text: str) -> tuple[str, ...]:
    """Split tags as a query writes them; raises ValueError."""
    try:
        tags = bodies.loads(text.encode()) if text.lstrip().startswith("[") else text.split(",")
        return tuple(_TAGS.validate_python([tag.strip() if isinstance(tag, str) else tag for tag in tags]))
    except errors.MalformedRequestError as error:
        raise ValueError(error.message.replace("The body", "The list")) from error
    except pydantic.ValidationError as invalid:
        raise ValueError(invalid.errors(include_url=False)[0]["msg"]) from invalid


def _check_tags(text: str) -> str:
    _split_tags(text)
    return text


def parse_json(text: str, *, name: str) -> Any:
    """Parse a query parameter that holds JSON; raises InvalidRequestError."""
    try:
        return bodies.loads(text.encode())
    except errors.MalformedRequestError as error:
        problem = errors.Problem(error.message.replace("The body", name), f"#/{name}")
        raise errors.InvalidRequestError(f"The query's {problem['detail']}", problems=[problem]) from error


class SubmitQuery(Query):
    """How to run the jobs that a request submits; a job whose own document says otherwise is run as that says."""

    priority: int | None = pydantic.Field(default=None, ge=0, le=9, description=PRIORITY)
    deadline_seconds: int | None = pydantic.Field(
        default=None, ge=1, le=MAX_DEADLINE_SECONDS, description=DEADLINE_SECONDS
    )
    tags: Annotated[str, pydantic.AfterValidator(_check_tags)] | None = pydantic.Field(
        default=None, max_length=3000, description=f'{TAGS} Separated by commas, or as JSON: `["a", "b, c"]`.'
    )

    def to_options(self) -> dict[str, Any]:
        """Return the fields of an order that the query gives."""
        given = {"priority": self.priority, "deadline_seconds": self.deadline_seconds}
        options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return options if self.tags is None else {**options, "tags": _split_tags(self.tags)}


def check() -> None:
    """Refuse unknown query parameters, before every request whose route is known; raises InvalidRequestError.

    A route takes the fields of the model that annotates its `query`.
    """
    if not flask.request.query_string or flask.request.endpoint is None:
        return
    view = flask.current_app.view_functions[flask.request.endpoint]
    model = typing.get_type_hints(view).get("query")
    permitted = sorted(model.model_fields) if model else []
    unknown = [name for name in flask.request.args if name not in permitted]
    if not unknown:
        return
    takes = f"permitted are: {', '.join(permitted)}" if permitted else "this takes none in the query"
    problems = [errors.Problem(f"Extra inputs are not permitted; {takes}", _point_to(name)) for name in unknown]
    count = "1 field of the request is" if len(unknown) == 1 else f"{len(unknown)} fields of the request are"
    raise errors.InvalidRequestError(
        f"{count} invalid: {problems[0]['pointer']}: {problems[0]['detail']}", problems=problems
    )


def _point_to(name: str) -> str:
    return f"#/{name[:_MAX_SHOWN].replace('~', '~0').replace('/', '~1')}"
