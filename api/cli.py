"""The operator's commands: python -m api serve | keys create | keys list | keys revoke."""

import argparse
import sys
from collections.abc import Sequence

from api.intake import keys
from shared import clock, database, settings


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the API")
    key = commands.add_parser("keys", help="make, list and revoke API keys").add_subparsers(
        dest="action", required=True
    )
    create = key.add_parser("create", help="print a new key, and nothing else")
    create.add_argument("--name", required=True, help="whose key it is")
    create.add_argument("--scope", choices=keys.SCOPES, default="write", help="what it may do")
    create.add_argument("--tenant", default="default", help="whose data it sees")
    create.add_argument("--days", type=int, default=None, help="after how many days it expires")
    key.add_parser("list", help="list keys, without what only their holders know")
    revoke = key.add_parser("revoke", help="revoke a key for ever")
    revoke.add_argument("key", help="the key's id, its prefix, or the key itself")
    return top


def main(given: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    arguments = parser().parse_args(given)
    if arguments.command == "serve":
        from api import server

        return server.serve(settings.load())
    held = keys.Keys(database.of_process())
    if arguments.action == "create":
        made = held.create(arguments.name, scopes=[arguments.scope], tenant_id=arguments.tenant, days=arguments.days)
        sys.stdout.write(f"{made}\n")
        return 0
    return _list(held) if arguments.action == "list" else _revoke(held, arguments.key)


def _list(held: keys.Keys) -> int:
    for key in held.all():
        state = "revoked" if key.revoked_at else "expired" if key.is_expired else "valid"
        fields = (
            key.id,
            key.prefix,
            key.tenant_id,
            ",".join(key.scopes),
            state,
            clock.to_text(key.created_at),
            key.name,
        )
        sys.stdout.write("\t".join(str(field) for field in fields) + "\n")
    return 0


def _revoke(held: keys.Keys, given: str) -> int:
    parts = given.split("_", 2)
    prefix = parts[1] if len(parts) == 3 and parts[0] == "mr" else given
    if held.revoke(prefix):
        sys.stdout.write(f"{prefix} is revoked\n")
        return 0
    sys.stderr.write(f"there is no valid key {prefix}\n")
    return 1
