"""Every kind of job whose contract is installed here, by name."""

import functools
import importlib
import importlib.util

from shared import contract, ping, roles


def of_role(role: str) -> tuple[contract.Kind, ...]:
    """Give a role's kinds; none when its contract is not in this image."""
    if importlib.util.find_spec(f"shared.{role}") is None:
        return ()
    module = importlib.import_module(f"shared.{role}.contract")
    return (*module.KINDS, ping.kind_for(role))


@functools.cache
def known() -> dict[str, contract.Kind]:
    """Give all kinds by name, in the order of the roles."""
    return {kind.name: kind for role in roles.ROLES for kind in of_role(role)}
