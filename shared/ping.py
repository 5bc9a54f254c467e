"""A kind of job that every role has and that does nothing: it shows that API, queue and workers work together."""

import pydantic

from shared import contract


class Ping(contract.Command):
    """Do nothing, and answer."""


class Pong(contract.Result):
    """The answer to a ping."""

    attempt: int = pydantic.Field(description="The attempt that answered.")


def kind_for(role: str) -> contract.Kind:
    """Build a role's kind of ping."""
    return contract.Kind(
        name=f"{role}.ping",
        command=Ping,
        result=Pong,
        description="Do nothing: shows that this role's queue, workers and database work together.",
        stores=False,
    )
