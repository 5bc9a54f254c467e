"""The JSON documents that the API accepts and returns, as the OpenAPI document describes them."""

from typing import Annotated, Any, Literal

import pydantic

from api import queries
from shared import contract, errors
from shared.catalog import marks
from shared.jobs.states import State

VersionNumber = Annotated[int, pydantic.Field(ge=1, le=2**31 - 1)]
CURSOR = "`next_cursor` of the previous page."
_OPTIONS = {"priority", "deadline_seconds", "tags"}


class Document(pydantic.BaseModel):
    """A document that the API returns."""

    model_config = pydantic.ConfigDict(extra="forbid")


class JobRequest(contract.Document):
    """A job to submit."""

    kind: str = pydantic.Field(
        max_length=64, description="The kind of job; GET /v1/kinds lists them.", examples=["training.fit"]
    )
    params: dict[str, pydantic.JsonValue] = pydantic.Field(
        description="The kind's parameters; GET /v1/kinds has their schema."
    )
    priority: int = pydantic.Field(default=0, ge=0, le=9, description=queries.PRIORITY)
    deadline_seconds: int | None = pydantic.Field(
        default=None, ge=1, le=queries.MAX_DEADLINE_SECONDS, description=queries.DEADLINE_SECONDS
    )
    tags: list[queries.Tag] = pydantic.Field(default=[], max_length=queries.MAX_TAGS, description=queries.TAGS)

    def to_options(self) -> dict[str, Any]:
        """Return the fields of an order that the document gives."""
        options: dict[str, Any] = {name: getattr(self, name) for name in _OPTIONS & self.model_fields_set}
        return {**options, "tags": tuple(self.tags)} if "tags" in options else options


class BatchRequest(contract.Document):
    """Jobs that are accepted together: all of them or none."""

    jobs: list[JobRequest] = pydantic.Field(min_length=1, max_length=1000, description="The jobs.")


class Progress(Document):
    """How far a job has come."""

    fraction: float | None = pydantic.Field(description="From 0 to 1.")
    message: str | None = pydantic.Field(description="What the job is doing.")


class JobFault(Document):
    """Why a job failed, or why its last attempt did."""

    type: str = pydantic.Field(description="The error's class.")
    message: str | None = pydantic.Field(description="What was wrong, and what to do instead.")


class Job(Document):
    """A job."""

    id: str = pydantic.Field(description="The job's id: its role, `_`, and a ULID that sorts by time.")
    kind: str = pydantic.Field(description="The kind of job.")
    role: str = pydantic.Field(description="The role whose workers run it.")
    state: State = pydantic.Field(description="The state of the job.")
    attempt: int = pydantic.Field(description="How many attempts workers have started.")
    priority: int = pydantic.Field(description=queries.PRIORITY)
    progress: Progress
    params: dict[str, Any] = pydantic.Field(description="The kind's parameters.")
    result: dict[str, Any] | None = pydantic.Field(description="The kind's result, once the job has succeeded.")
    interim: dict[str, Any] | None = pydantic.Field(
        description="The result so far, for kinds that report one while they run."
    )
    children: dict[State, int] | None = pydantic.Field(
        description="How many of its child jobs are in each state now; null in lists, and for jobs without children."
    )
    error: JobFault | None = pydantic.Field(description="Why it failed, or why its last attempt did.")
    tags: list[str]
    correlation_id: str = pydantic.Field(
        description="The id of the story that it belongs to, which its events carry too: that of the request's header "
        "`Millrace-Correlation-Id`, of its parent or of the job that it retries, and else its own id."
    )
    created_at: str
    started_at: str | None
    finished_at: str | None
    deadline_at: str | None
    links: dict[str, str]


class JobList(Document):
    """Jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None = pydantic.Field(
        description="Pass it as `cursor` to get the next page; null on the last page. A page of large jobs has fewer "
        "than `limit`."
    )
    unavailable: list[str] = pydantic.Field(
        description="Roles that are missing here, because their database can't be reached."
    )


class Batch(Document):
    """The jobs of a batch, in the order of the request."""

    jobs: list[Job]


class KindDescription(Document):
    """A kind of job."""

    kind: str
    role: str
    description: str
    params: dict[str, Any] = pydantic.Field(description="The JSON Schema of its parameters.")
    result: dict[str, Any] = pydantic.Field(description="The JSON Schema of its result.")


class KindList(Document):
    """Every kind of job."""

    kinds: list[KindDescription]


class WorkerDescription(Document):
    """A live worker."""

    id: str
    host: str
    pid: int
    concurrency: int = pydantic.Field(description="How many jobs it can run at once.")
    busy: int = pydantic.Field(description="How many jobs it runs now.")
    version: str
    since: str
    seen_at: str


class Service(Document):
    """The current state of a role."""

    role: str
    does: str
    status: Literal["up", "no_workers", "no_consumer", "down"] = pydantic.Field(
        description="`down`: its database can't be reached; `no_workers`: no worker runs its jobs; `no_consumer`: jobs "
        "wait, and no worker listens to the queue."
    )
    problem: str | None = pydantic.Field(
        description="`no consumer`, and what that means, when jobs wait and nobody listens to the queue."
    )
    workers: list[WorkerDescription]
    queue_depth: int | None = pydantic.Field(description="Queued jobs, counted in the role's database, up to 100,000.")
    doorbells: int | None = pydantic.Field(
        description="Messages in the broker's queue that wake workers; one may stand for several queued jobs."
    )
    consumers: int | None = pydantic.Field(
        description="How many workers listen to the broker's queue; null when the broker is down, and on Redis, which "
        "doesn't count them."
    )
    oldest_wait_seconds: float | None = pydantic.Field(
        description="For how long the oldest queued job has been ready to run."
    )


class InferenceServer(Document):
    """A process of an inference server, as it last told of itself."""

    id: str
    host: str
    pid: int
    address: str = pydantic.Field(description="Where it listens, by the name that its host has for itself.")
    ready: bool = pydantic.Field(description="Whether it has loaded what is deployed, and is not about to stop.")
    manifest: int = pydantic.Field(description="The number of the manifest that it serves; greater for later ones.")
    since: str
    seen_at: str


class ServiceList(Document):
    """The current state of every role, and the inference servers."""

    services: list[Service]
    inference_servers: list[InferenceServer] | None = pydantic.Field(
        description="Processes heard of in the last 30 s; null when the prediction role's database is down."
    )


class NameSummary(Document):
    """The name of a dataset, feature set or model, and its latest version."""

    name: str
    last_version: int
    created_at: str
    updated_at: str


class NameList(Document):
    """Names in alphabetical order."""

    items: list[NameSummary]
    next_cursor: str | None
    unavailable: list[str] = pydantic.Field(
        description="Roles that are missing here, because their database can't be reached."
    )


class Version(Document):
    """What every version of a dataset, feature set or model has."""

    name: str
    version: int
    sha256: str
    bytes: int
    created_at: str
    created_by: str = pydantic.Field(description="The id of the API key that submitted the job.")
    job_id: str
    tags: list[str] = pydantic.Field(description="Those of the job that made it, until they are changed.")
    note: str | None


class VersionList(Document):
    """A name's versions, newest first."""

    name: str
    next_cursor: str | None


class Problem(Document):
    """An error (RFC 9457)."""

    model_config = pydantic.ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[dict[str, str]] = pydantic.Field(
        default=[],
        description="For an invalid request: the `detail` of each problem and the `pointer` to it (RFC 6901).",
    )
    job: Job | None = pydantic.Field(
        default=None, description="For 424: the job that ended without success, or with a refusal."
    )


class JobPath(pydantic.BaseModel):
    """A job's id, in the path."""

    job_id: str = pydantic.Field(max_length=64, description="The job's id.")


class MarksRequest(contract.Document):
    """What to change; what is left out stays as it is."""

    tags: marks.Tags = pydantic.Field(default=[], description="The tags from now on, instead of those before.")
    note: marks.Note | None = pydantic.Field(default=None, description="The note from now on; null for none.")

    def to_changes(self) -> dict[str, Any]:
        """Return the fields that are given; raises InvalidRequestError when none is."""
        if not self.model_fields_set:
            problem = errors.Problem("nothing to change; send `tags`, `note` or both", "#")
            raise errors.InvalidRequestError("The request changes nothing.", problems=[problem])
        changes = self.model_dump(include=self.model_fields_set)
        return {**changes, "tags": list(dict.fromkeys(changes["tags"]))} if "tags" in changes else changes


class NamePath(pydantic.BaseModel):
    """A name, in the path."""

    name: contract.Name


class NumberPath(NamePath):
    """A name and a version's number, in the path."""

    version: VersionNumber = pydantic.Field(description="The version, counted from 1.")


class VersionPath(NamePath):
    """A name and a version, in the path."""

    version: VersionNumber | Literal["latest"] = pydantic.Field(description="The version, counted from 1, or `latest`.")

    @property
    def number(self) -> int | None:
        """The version's number; None for the latest."""
        return None if self.version == "latest" else self.version


class NamesQuery(queries.Query):
    """Which page of a list to show."""

    limit: int = pydantic.Field(default=50, ge=1, le=500, description="How many items at most.")
    cursor: str | None = pydantic.Field(default=None, max_length=200, description=CURSOR)
