"""All kinds of jobs whose contracts are installed here: those that the roles' contracts list, and those of plugins."""

import functools
import importlib
import importlib.util

from shared import contract, plugins, roles


def of_role(role: str) -> tuple[contract.Kind, ...]:
    """List a role's kinds; none when its contract is not in this image."""
    if importlib.util.find_spec(f"shared.{role}") is None:
        return ()
    return (*_of_contract(role), *(plugin.kind for plugin in of_plugins(role)))


def of_plugins(role: str) -> list[plugins.JobKind]:
    """List the kinds that installed packages add to a role."""
    return plugins.kinds_of(role, existing=_of_contract(role))


def _of_contract(role: str) -> tuple[contract.Kind, ...]:
    # Imported by name, because the roles' packages are a layer above this file.
    kinds: tuple[contract.Kind, ...] = importlib.import_module(f"shared.{role}.contract").KINDS
    return kinds


@functools.cache
def by_name() -> dict[str, contract.Kind]:
    """Map the names of all kinds to them, in the order of the roles."""
    return {kind.name: kind for role in roles.ROLES for kind in of_role(role)}


def public_by_name() -> dict[str, contract.Kind]:
    """Map the names of the kinds that clients may submit to them."""
    return {name: kind for name, kind in by_name().items() if not kind.internal}
