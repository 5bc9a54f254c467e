"""Letting an alias stand for a model's version, or for nothing any more."""

from typing import Any

import sqlalchemy as sa

from api.intake.orders import Client
from api.reads.aliases import describe
from shared import database, errors
from shared.training import aliases

_ROLE = "training"


def check(name: str, alias: str) -> None:
    """Raise InvalidRequestError for a word that means something else in `name@word`."""
    if not aliases.is_free(alias):
        raise errors.InvalidRequestError(
            f"{alias!r} can't be an alias, because {name}@{alias} means something else; give a word.",
            problems=[errors.Problem(f"{alias!r} is taken", "#/alias")],
        )


def put(databases: database.Databases, version: sa.Row[Any], alias: str, *, client: Client) -> dict[str, Any]:
    """Let an alias stand for a version, given its row; keep the change, tell of it, and describe the alias."""
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        return describe(aliases.put(connection, version, alias, changed_by=client.key_id))


def remove(databases: database.Databases, name: str, alias: str, *, client: Client) -> None:
    """Let an alias stand for nothing any more, keep the change, and tell of it; raises NotFoundError."""
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        if not aliases.remove(connection, name, alias, tenant_id=client.tenant_id, changed_by=client.key_id):
            raise errors.NotFoundError(f"{name!r} has no alias {alias!r}.")
