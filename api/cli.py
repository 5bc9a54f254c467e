"""The operator's commands: python -m api serve | keys create | keys list | keys revoke."""

import argparse
import functools
import pathlib
import sqlite3
import sys
from collections.abc import Sequence

import sqlalchemy.exc

from api.intake import keys
from shared import clock, database, errors, faults, settings

_UP = "`make up` or `python -m migrations upgrade all` makes it; MILLRACE_HOME or MILLRACE_DATABASE_URL name another."
_NO_TABLE = "42P01"
"""PostgreSQL's code for a table that isn't there."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the API")
    actions = commands.add_parser("keys", help="create, list and revoke API keys").add_subparsers(
        dest="action", required=True
    )
    create = actions.add_parser("create", help="print a new key, and nothing else")
    create.add_argument("--name", required=True, help="whose key it is")
    create.add_argument("--scope", choices=keys.SCOPES, default="write", help="what it may do")
    create.add_argument("--tenant", default="default", help="whose data it sees")
    create.add_argument("--days", type=int, default=None, help="after how many days it expires")
    create.add_argument(
        "--max-priority", type=int, choices=range(10), help="the highest priority that its jobs may have"
    )
    create.add_argument(
        "--file",
        type=pathlib.Path,
        help="write the key there, for nobody else to read, and print nothing; a file with a valid key stays as it is",
    )
    actions.add_parser("list", help="list keys, without their secret part")
    revoke = actions.add_parser("revoke", help="revoke a key forever")
    revoke.add_argument("key", help="the key's id, its prefix, or the key itself")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the command line names; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    if arguments.command == "serve":
        from api import server

        return server.serve(settings.load())
    home = settings.load().home
    with faults.told_in_a_sentence(home):
        try:
            return _manage_keys(arguments)
        except sqlalchemy.exc.DBAPIError as error:
            if (reason := _explain(error)) is None:
                raise
            sys.exit(f"{reason} MILLRACE_HOME is {home.resolve()}.")


def _explain(error: sqlalchemy.exc.DBAPIError) -> str | None:
    """Explain why there is no database with keys, and what would do; None when that is not what an error is about."""
    if getattr(error.orig, "sqlstate", None) == _NO_TABLE or "no such table" in f"{error.orig}":
        return f"The API's database has no tables yet. {_UP}"
    if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN:
        return f"The API has no database here yet. {_UP}"
    return None


def _manage_keys(arguments: argparse.Namespace) -> int:
    key_store = keys.Keys(database.of_process())
    if arguments.action == "create":
        return _create(key_store, arguments)
    return _list(key_store) if arguments.action == "list" else _revoke(key_store, arguments.key)


def _create(key_store: keys.Keys, arguments: argparse.Namespace) -> int:
    """Print a new key, or write it into a file."""
    make = key_store.create if arguments.file is None else functools.partial(key_store.keep_in_file, arguments.file)
    try:
        key = make(
            arguments.name,
            scopes=[arguments.scope],
            tenant_id=arguments.tenant,
            days=arguments.days,
            max_priority=arguments.max_priority,
        )
    except errors.InvalidRequestError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    if key is not None:
        sys.stdout.write(f"{key}\n")
    return 0


def _list(key_store: keys.Keys) -> int:
    for key in key_store.list_all():
        state = "revoked" if key.revoked_at else "expired" if key.is_expired else "valid"
        fields = (
            key.id,
            key.prefix,
            key.tenant_id,
            ",".join(key.scopes) + ("" if key.max_priority is None else f",priority<={key.max_priority}"),
            state,
            clock.to_text(key.created_at),
            key.name,
        )
        sys.stdout.write("\t".join(str(field) for field in fields) + "\n")
    return 0


def _revoke(key_store: keys.Keys, key: str) -> int:
    parts = key.split("_", 2)
    prefix = parts[1] if len(parts) == 3 and parts[0] == "mr" else key
    if key_store.revoke(prefix):
        sys.stdout.write(f"{prefix} is revoked\n")
        return 0
    sys.stderr.write(f"there is no valid key {prefix}\n")
    return 1
