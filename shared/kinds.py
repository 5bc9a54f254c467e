"""Every kind of job whose contract is installed here, by name: what the roles' contracts list, and what plugins add."""

import functools
import importlib
import importlib.util

from shared import contract, plugins, roles


def of_role(role: str) -> tuple[contract.Kind, ...]:
    """List a role's kinds; none when its contract is not in this image."""
    if importlib.util.find_spec(f"shared.{role}") is None:
        return ()
    return (*_own(role), *(plugin.kind for plugin in added(role)))


def added(role: str) -> list[plugins.JobKind]:
    """List the kinds that installed packages add to a role."""
    return plugins.kinds_of(role, taken=_own(role))


def _own(role: str) -> tuple[contract.Kind, ...]:
    # By name, because the roles stand above this file; each contract lists all of its role's kinds.
    kinds: tuple[contract.Kind, ...] = importlib.import_module(f"shared.{role}.contract").KINDS
    return kinds


@functools.cache
def known() -> dict[str, contract.Kind]:
    """Map the name of every kind to it, in the order of the roles."""
    return {kind.name: kind for role in roles.ROLES for kind in of_role(role)}


def public() -> dict[str, contract.Kind]:
    """Map the names of the kinds that clients may submit to them."""
    return {name: kind for name, kind in known().items() if not kind.internal}
