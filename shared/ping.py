"""A job of every role that does nothing: it shows that the way from the API to a worker's answer is open."""

import pydantic

from shared import contract


class Ping(contract.Command):
    """Do nothing, and say so."""


class Pong(contract.Result):
    """The answer to a ping."""

    attempt: int = pydantic.Field(description="The attempt that answered.")


def kind_for(role: str) -> contract.Kind:
    """Make a role's kind of ping."""
    return contract.Kind(
        name=f"{role}.ping",
        command=Ping,
        result=Pong,
        description="Do nothing: shows that this role's queue, workers and database work together.",
    )
