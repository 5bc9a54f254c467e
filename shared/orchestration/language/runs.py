"""What `advance` is told of a run, and what it decides: plain values, which whoever keeps the run reads and writes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

State = Literal["waiting", "running", "succeeded", "failed", "cancelled", "skipped"]
SkipCause = Literal["when", "needs", "failure", "handler"]
"""Why a step was skipped: its condition, a step that it needs, the run's failure, or that there was none to handle."""
Key = tuple[str, int | None]
"""A step's name, and the number of the item, from 0; None for a step without items."""
ENDED = frozenset({"succeeded", "failed", "cancelled", "skipped"})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """A step of a run, or one item of a step with `for_each`."""

    step: str
    index: int | None = None
    """The number of its item, from 0; None for a step without items, and for one whose list never came to be known."""
    state: State = "waiting"
    attempt: int = 0
    """The number of the attempt that was submitted last; 0 before the first."""
    item: Any = None
    result: Any = None
    error: str | None = None
    retryable: bool = True
    """Of a failed one: whether another attempt may succeed, which a `PermanentError` of the job denies."""
    skip_cause: SkipCause | None = None
    not_before: int | None = None
    """Of one that waits to be tried again: when it may be, in epoch milliseconds."""
    since: int | None = None
    """Since when it is in its state, in epoch milliseconds."""

    @property
    def key(self) -> Key:
        """What names it within its run."""
        return self.step, self.index


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A run as it stands: what it was given, and its instances, in any order."""

    id: str
    params: Mapping[str, Any]
    """The values of all parameters, as `parameters.bind` returns them."""
    instances: Sequence[Instance] = ()
    now: int
    """When this was read, by the database's clock, in epoch milliseconds."""
    started_at: int = 0
    """When the run began, in epoch milliseconds."""
    at: str | None = None
    """The moment that the run is about, `${run.at}`: of a backfill the slice's, else when it was made; RFC 3339."""
    cancel_requested: bool = False
    resumes: int = 0
    """How often it was resumed; part of the key of each submission, since attempts then count from 1 again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submission:
    """A job to be submitted now; the instance is then `running`, with this attempt."""

    step: str
    index: int | None
    attempt: int
    kind: str
    params: dict[str, Any]
    timeout_seconds: int | None
    key: str
    """The Idempotency-Key, made of run, resumes, step, item and attempt; at most 255 characters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Skip:
    """A waiting instance that is `skipped`, with the reason in a sentence."""

    step: str
    index: int | None
    cause: SkipCause
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """A waiting instance that has `failed` without a job, as its parameters can't be made; it isn't `retryable`."""

    step: str
    index: int | None
    error: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retry:
    """A failed instance that is `waiting` again until `not_before`; its attempt stays, and the next is one higher."""

    step: str
    index: int | None
    attempt: int
    """The attempt that will follow."""
    wait_seconds: int
    not_before: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cancel:
    """An instance of a run that is being cancelled: a waiting one is `cancelled`, a running one's job is to be."""

    step: str
    index: int | None
    is_running: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of a run, with what was the first cause of its failure."""

    state: Literal["succeeded", "failed", "cancelled"]
    step: str | None = None
    index: int | None = None
    reason: str | None = None


@dataclasses.dataclass(kw_only=True)
class Decision:
    """What is to be done with a run.

    `created` are instances to be kept in the state they have, before everything else, since the other lists may name
    them. All of it can be written in one transaction, and then the submissions be sent.
    """

    created: list[Instance] = dataclasses.field(default_factory=list)
    submissions: list[Submission] = dataclasses.field(default_factory=list)
    skips: list[Skip] = dataclasses.field(default_factory=list)
    failures: list[Failure] = dataclasses.field(default_factory=list)
    retries: list[Retry] = dataclasses.field(default_factory=list)
    cancels: list[Cancel] = dataclasses.field(default_factory=list)
    again: bool = False
    """Whether there is more to decide as soon as this is written: a failure came up, a retry
    that waits for nothing, or too many submissions."""
    next_at: int | None = None
    """When the next retry may begin, in epoch milliseconds; None when none waits."""
    ending: Ending | None = None
    """The run's end; None while something is still to happen."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaitingFor:
    """Why an instance waits: `needs`, `retry`, or `submission` when it is about to begin; and since when."""

    kind: Literal["needs", "retry", "submission"]
    detail: str
    since: int
    """In epoch milliseconds."""
