"""Sets and removes aliases of models, each with an entry in the alias's history and an event."""

from typing import Any

import sqlalchemy as sa

from api.intake.orders import Client
from api.reads.aliases import describe
from shared import database, errors
from shared.training import aliases

_ROLE = "training"


def check(name: str, alias: str) -> None:
    """Raise InvalidRequestError for an alias that would be ambiguous in `name@alias`."""
    if not aliases.can_be_alias(alias):
        raise errors.InvalidRequestError(
            f"{alias!r} can't be an alias, because {name}@{alias} means something else; choose another word.",
            problems=[errors.Problem(f"{alias!r} is reserved", "#/alias")],
        )


def put(databases: database.Databases, version: sa.Row[Any], alias: str, *, client: Client) -> dict[str, Any]:
    """Set an alias to a version, given its row, with an entry in its history and an event; describes the alias."""
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        return describe(aliases.put(connection, version, alias, changed_by=client.key_id))


def remove(databases: database.Databases, name: str, alias: str, *, client: Client) -> None:
    """Remove an alias, with an entry in its history and an event; raises NotFoundError."""
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        if not aliases.remove(connection, name, alias, tenant_id=client.tenant_id, changed_by=client.key_id):
            raise errors.NotFoundError(f"{name!r} has no alias {alias!r}.")
