"""Every kind of job whose contract is installed here, by name."""

import functools
import importlib
import importlib.util

from shared import adoption, contract, ping, plugins, roles


def of_role(role: str) -> tuple[contract.Kind, ...]:
    """Give a role's kinds; none when its contract is not in this image."""
    if importlib.util.find_spec(f"shared.{role}") is None:
        return ()
    return (*_own(role), *(plugin.kind for plugin in added(role)), ping.kind_for(role))


def added(role: str) -> list[plugins.JobKind]:
    """Give the kinds that installed packages add to a role."""
    return plugins.kinds_of(role, taken=_own(role))


def _own(role: str) -> tuple[contract.Kind, ...]:
    module = importlib.import_module(f"shared.{role}.contract")
    return (*module.KINDS, *adoption.kinds_for(role))


@functools.cache
def known() -> dict[str, contract.Kind]:
    """Give all kinds by name, in the order of the roles."""
    return {kind.name: kind for role in roles.ROLES for kind in of_role(role)}


def public() -> dict[str, contract.Kind]:
    """Give the kinds that clients may submit, by name."""
    return {name: kind for name, kind in known().items() if not kind.internal}
