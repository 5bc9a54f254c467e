"""What a client asks for and gets: an order for a job, who orders it, and the job that was accepted."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pydantic

from api.intake import validation
from shared import contract, database, digests, errors, kinds
from shared.objects import store


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """What a client asks for: a command of a kind, and how it wants it done."""

    kind: contract.Kind
    command: contract.Command
    priority: int = 0
    deadline_seconds: int | None = None
    tags: tuple[str, ...] = ()
    where: str = "#/params"
    """Where the command stands in the request's body, for what is said of its references."""
    pinned: dict[str, Any] | None = None
    """Pins that the caller knows already; else the references are looked up."""
    asked_for: str | None = None
    """What two requests have in common that ask for the same; else it is the hash of the order."""

    @property
    def fingerprint(self) -> str:
        """What tells a repeated request from another one under the same Idempotency-Key."""
        return self.asked_for or digests.of_document(
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
    """Who asks."""

    tenant_id: str
    key_id: str
    traceparent: str | None = None


@dataclasses.dataclass(frozen=True)
class Accepted:
    """A job as the client sees it, and whether this very request made it."""

    document: dict[str, Any]
    version: int
    is_new: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acceptance:
    """An order on its way, with what the duties of its kind may use."""

    command: Any
    pinned: Mapping[str, Any]
    """What the command's references were pinned to."""
    tenant_id: str
    databases: database.Databases
    store: store.Store


def make(kind_name: str, params: dict[str, Any], *, where: str = "#/params", **options: Any) -> Order:
    """Check parameters against their kind's contract, and make the order; `where` is where they stand in the body.

    Raises InvalidRequestError, which points into the body.
    """
    kind = kinds.public_by_name().get(kind_name)
    if kind is None:
        known = ", ".join(kinds.public_by_name())
        pointer = f"{where.removesuffix('/params')}/kind"
        problem = errors.Problem(f"{kind_name!r} is no kind of job; these are: {known}", pointer)
        raise errors.InvalidRequestError(f"There is no kind of job {kind_name!r}.", problems=[problem])
    try:
        command = kind.command.model_validate(params)
    except pydantic.ValidationError as invalid:
        raise validation.to_error(invalid, prefix=where, document=params, model=kind.command) from invalid
    return Order(kind=kind, command=command, where=where, **options)
