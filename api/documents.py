"""The documents that the API takes and returns, as the OpenAPI document describes them."""

from typing import Annotated, Any, Literal

import pydantic

from shared import contract
from shared.jobs.states import State

Tag = Annotated[str, pydantic.Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
_LONGEST_DEADLINE_SECONDS = 30 * 24 * 3600


class Document(pydantic.BaseModel):
    """What the API answers."""

    model_config = pydantic.ConfigDict(extra="forbid")


class JobRequest(contract.Document):
    """A job to do."""

    kind: str = pydantic.Field(
        max_length=64, description="The kind of job; GET /v1/kinds lists them.", examples=["training.fit"]
    )
    params: dict[str, pydantic.JsonValue] = pydantic.Field(description="What the kind's schema describes.")
    priority: int = pydantic.Field(
        default=0, ge=0, le=9, description="0 to 9; greater is earlier, where the broker can."
    )
    deadline_seconds: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=_LONGEST_DEADLINE_SECONDS,
        description="Seconds from now, waiting included, after which the job fails.",
    )
    tags: list[Tag] = pydantic.Field(default=[], max_length=20, description="Words by which to find it again.")


class BatchRequest(contract.Document):
    """Many jobs, accepted all or none."""

    jobs: list[JobRequest] = pydantic.Field(min_length=1, max_length=1000, description="The jobs.")


class Progress(Document):
    """How far a job is."""

    fraction: float | None = pydantic.Field(description="0 to 1.")
    message: str | None = pydantic.Field(description="What it does.")


class JobFault(Document):
    """Why a job failed, or why it is tried again."""

    type: str = pydantic.Field(description="The error's class.")
    message: str | None = pydantic.Field(description="What was wrong, and what would be right.")


class Job(Document):
    """A job."""

    id: str = pydantic.Field(description="The job's id: its role, `_`, and a ULID that sorts by time.")
    kind: str = pydantic.Field(description="The kind of job.")
    role: str = pydantic.Field(description="The role whose workers do it.")
    state: State = pydantic.Field(description="Where it is in its life.")
    attempt: int = pydantic.Field(description="How often a worker has begun it.")
    priority: int = pydantic.Field(description="0 to 9; greater is earlier.")
    progress: Progress
    params: dict[str, Any] = pydantic.Field(description="What it was asked to do.")
    result: dict[str, Any] | None = pydantic.Field(description="What it answers, once it has succeeded.")
    interim: dict[str, Any] | None = pydantic.Field(description="What it has found so far, for kinds that tell.")
    children: dict[State, int] | None = pydantic.Field(
        description="How many of the jobs that it has submitted are in each state right now; none in lists, and for "
        "jobs without any."
    )
    error: JobFault | None = pydantic.Field(description="Why it failed.")
    tags: list[str]
    created_at: str
    started_at: str | None
    finished_at: str | None
    deadline_at: str | None
    links: dict[str, str]


class JobList(Document):
    """Jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None = pydantic.Field(description="Give it as `cursor` to see the next ones.")
    unavailable: list[str] = pydantic.Field(description="Roles whose database can't be reached, and so are left out.")


class Batch(Document):
    """The jobs of a batch, in its order."""

    jobs: list[Job]


class KindDescription(Document):
    """A kind of job."""

    kind: str
    role: str
    description: str
    params: dict[str, Any] = pydantic.Field(description="JSON Schema of what it takes.")
    result: dict[str, Any] = pydantic.Field(description="JSON Schema of what it answers.")


class KindList(Document):
    """Every kind of job."""

    kinds: list[KindDescription]


class WorkerDescription(Document):
    """A live worker."""

    id: str
    host: str
    pid: int
    concurrency: int = pydantic.Field(description="Jobs that it does at once.")
    busy: int = pydantic.Field(description="Jobs that it did at its last beat.")
    version: str
    since: str
    seen_at: str


class Service(Document):
    """A role, as it is now."""

    role: str
    does: str
    status: Literal["up", "no_workers", "down"] = pydantic.Field(
        description="`down`: its database can't be reached; `no_workers`: nobody does its jobs."
    )
    workers: list[WorkerDescription]
    queue_depth: int | None = pydantic.Field(description="Queued jobs, by their rows; counted up to 100,000.")
    doorbells: int | None = pydantic.Field(description="Messages that wait in the broker's queue.")
    oldest_wait_seconds: float | None = pydantic.Field(description="How long the oldest queued job has been ready.")


class ServiceList(Document):
    """Every role, as it is now."""

    services: list[Service]


class NameSummary(Document):
    """A named thing and its greatest version."""

    name: str
    last_version: int
    created_at: str
    updated_at: str


class NameList(Document):
    """Names in alphabetical order."""

    items: list[NameSummary]
    next_cursor: str | None
    unavailable: list[str] = pydantic.Field(description="Roles whose database can't be reached, and so are left out.")


class Version(Document):
    """What every version's document has."""

    name: str
    version: int
    sha256: str
    bytes: int
    created_at: str
    created_by: str = pydantic.Field(description="The id of the key that asked for it.")
    job_id: str


class VersionList(Document):
    """A name's versions, newest first."""

    name: str
    next_cursor: str | None


class Problem(Document):
    """What went wrong (RFC 9457)."""

    model_config = pydantic.ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[dict[str, str]] = pydantic.Field(
        default=[], description="For a document that is not as needed: each fault's `detail` and JSON `pointer`."
    )


class JobPath(pydantic.BaseModel):
    """A job's path."""

    job_id: str = pydantic.Field(max_length=64, description="The job's id.")


class JobQuery(pydantic.BaseModel):
    """Which jobs to list."""

    model_config = pydantic.ConfigDict(extra="forbid")

    role: str | None = pydantic.Field(default=None, max_length=32, description="Only this role's.")
    kind: str | None = pydantic.Field(default=None, max_length=64, description="Only this kind's.")
    state: State | None = pydantic.Field(default=None, description="Only those in this state.")
    tag: Tag | None = pydantic.Field(default=None, description="Only those with this tag.")
    limit: int = pydantic.Field(default=50, ge=1, le=500, description="How many at the most.")
    cursor: str | None = pydantic.Field(default=None, max_length=200, description="`next_cursor` of the page before.")


class NamePath(pydantic.BaseModel):
    """A named thing's path."""

    name: contract.Name


class VersionPath(NamePath):
    """A version's path."""

    version: int = pydantic.Field(ge=1, le=2**31 - 1, description="The version, counted from 1.")


class NamesQuery(pydantic.BaseModel):
    """Which names to list."""

    model_config = pydantic.ConfigDict(extra="forbid")

    limit: int = pydantic.Field(default=50, ge=1, le=500, description="How many at the most.")
    cursor: str | None = pydantic.Field(default=None, max_length=200, description="`next_cursor` of the page before.")
