"""An order for a job, the client who sends it, and the job that was accepted."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pydantic

from api.intake import validation
from shared import contract, database, errors, fingerprints, kinds
from shared.objects import store

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """A client's request for a job: a command of a kind, with priority, deadline and tags."""

    kind: contract.Kind
    command: contract.Command
    priority: int = 0
    deadline_seconds: int | None = None
    tags: tuple[str, ...] = ()
    pointer: str = "#/params"
    """The JSON pointer of the command in the request's body, with which pointers to its problems begin."""
    pinned: dict[str, Any] | None = None
    """Pins that the caller has already, by the path of each; all other references are looked up."""
    request_digest: str | None = None
    """A digest that is the same for equal requests; when None, it is computed from the order."""

    @property
    def fingerprint(self) -> str:
        """The digest by which a repeated request differs from another one with the same Idempotency-Key."""
        return self.request_digest or fingerprints.compute(
            {
                "kind": self.kind.name,
                "params": self.command.model_dump(mode="json"),
                "priority": self.priority,
                "deadline_seconds": self.deadline_seconds,
                "tags": self.tags,
            }
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Client:
    """Who makes a request."""

    tenant_id: str
    key_id: str
    max_priority: int | None = None
    """The highest priority that jobs of this client may have; None: any."""
    traceparent: str | None = None
    correlation_id: str | None = None
    """The id of the story that the request belongs to; None: it begins one."""


@dataclasses.dataclass(frozen=True)
class Accepted:
    """A job as the client sees it, and whether this request created it."""

    document: dict[str, Any]
    version: int
    is_new: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acceptance:
    """An order that is being accepted, with everything that the duties of its kind may use."""

    command: Any
    pinned: Mapping[str, Any]
    """The pins of the command's references."""
    tenant_id: str
    databases: database.Databases
    store: store.Store
    pointer: str = "#/params"
    """The JSON pointer of the command in the request's body."""


def check_priority(priority: int, *, client: Client, pointer: str | None = None) -> None:
    """Raise InvalidRequestError when the client's key forbids a priority; `pointer` is where it is in the body."""
    if client.max_priority is not None and priority > client.max_priority:
        message = f"This key may submit jobs of priority {client.max_priority} at most, not {priority}."
        problems = [] if pointer is None else [errors.Problem(message, pointer)]
        raise errors.InvalidRequestError(message, problems=problems)


def within(seconds: float, items: Sequence[Item]) -> Iterator[Item]:
    """Yield the items of a batch as long as the processor time of what is done with them lasts; then TooLargeError.

    docs/decisions/accepting.md, "What a check costs follows from the size of the request, or has a budget of time".
    """
    until = time.thread_time() + seconds
    for number, item in enumerate(items):
        if time.thread_time() > until:
            raise errors.TooLargeError(
                f"Only {number} of the {len(items)} jobs could be checked in {seconds:g} s; send fewer at a time."
            )
        yield item


def make(kind_name: str, params: dict[str, Any], *, pointer: str = "#/params", **options: Any) -> Order:
    """Validate parameters by their kind's contract, and make the order; `pointer` is where they are in the body.

    Raises InvalidRequestError, which points into the body.
    """
    kind = kinds.public_by_name().get(kind_name)
    if kind is None:
        names = ", ".join(kinds.public_by_name())
        pointer_to_kind = f"{pointer.removesuffix('/params')}/kind"
        problem = errors.Problem(f"{kind_name!r} is not a kind of job; the kinds are: {names}", pointer_to_kind)
        raise errors.InvalidRequestError(f"There is no kind of job {kind_name!r}.", problems=[problem])
    try:
        command = kind.command.model_validate(params)
    except pydantic.ValidationError as invalid:
        raise validation.to_error(invalid, prefix=pointer, document=params, model=kind.command) from invalid
    return Order(kind=kind, command=command, pointer=pointer, **options)


def identify_by_bytes(order: Order, *, sha256: str, options: dict[str, Any]) -> Order:
    """Let two uploads of the same bytes count as the same request, although each has an id of its own."""
    params = order.command.model_dump(mode="json", exclude={"source"})
    return dataclasses.replace(
        order, request_digest=fingerprints.compute({"params": params, "sha256": sha256, **options})
    )
