"""An order for a job, the client who sends it, and the job that was accepted."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pydantic

from api.intake import validation
from shared import contract, database, errors, fingerprints, kinds
from shared.objects import store


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
    """Pins that the caller has already; when None, the references are looked up."""
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
    traceparent: str | None = None


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
