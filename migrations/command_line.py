"""python -m migrations upgrade|downgrade|revision|check <role>|api|all."""

import argparse
import io
import sys
from collections.abc import Sequence

import alembic.command
import alembic.util

from migrations import stores
from shared import faults, roles, settings


def upgrade(store: str, *, config: settings.Settings, revision: str = "head") -> None:
    """Upgrade a store's tables to a revision."""
    with stores.connect(store, config=config) as connection:
        alembic.command.upgrade(stores.config_for(store, connection=connection), revision)


def downgrade(store: str, *, config: settings.Settings, revision: str) -> None:
    """Take a store's tables back to a revision; `base` removes them."""
    with stores.connect(store, config=config) as connection:
        alembic.command.downgrade(stores.config_for(store, connection=connection), revision)


def check(store: str, *, config: settings.Settings) -> None:
    """Raise when the database differs from the tables in the code."""
    with stores.connect(store, config=config) as connection:
        options = stores.config_for(store, connection=connection)
        options.stdout = io.StringIO()
        alembic.command.check(options)


def revision(store: str, *, config: settings.Settings, message: str) -> None:
    """Write a new revision file from the difference between the database and the tables in the code."""
    with stores.connect(store, config=config) as connection:
        options = stores.config_for(store, connection=connection)
        number = len(list((stores.folder_of(store)).glob("[0-9]*.py"))) + 1
        alembic.command.revision(options, message, autogenerate=True, rev_id=f"{number:04d}")


def _parse_arguments(command_line: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m migrations", description=__doc__)
    parser.add_argument("action", choices=["upgrade", "downgrade", "check", "revision"])
    parser.add_argument("store", choices=[*roles.STORES, "all"])
    parser.add_argument("--to", default=None, help="the revision to go to; head for upgrade")
    parser.add_argument("--message", default="change", help="what a new revision does")
    return parser.parse_args(command_line)


def main(command_line: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 when Alembic refuses, as when a database differs from the code."""
    arguments = _parse_arguments(command_line)
    config = settings.load()
    chosen_stores = roles.STORES if arguments.store == "all" else (arguments.store,)
    if arguments.action == "downgrade" and arguments.to is None:
        sys.stderr.write("downgrade needs --to REVISION; --to base removes every table with its rows\n")
        return 2
    exit_code = 0
    for store in chosen_stores:
        try:
            with faults.told_in_a_sentence(config.home, about=f"{store}: "):
                _act(store, arguments, config=config)
        except alembic.util.CommandError as error:
            sys.stderr.write(f"{store}: {error}\n")
            exit_code = 1
        else:
            sys.stdout.write(f"{store}: {arguments.action} done\n")
    return exit_code


def _act(store: str, arguments: argparse.Namespace, *, config: settings.Settings) -> None:
    if arguments.action == "upgrade":
        upgrade(store, config=config, revision=arguments.to or "head")
    elif arguments.action == "downgrade":
        downgrade(store, config=config, revision=arguments.to)
    elif arguments.action == "revision":
        revision(store, config=config, message=arguments.message)
    else:
        check(store, config=config)
